"Reports for the tests of `instruct`: one that answers every task, in as many variants as are asked for."

from random import Random

from medllm_nb.core import DeidReport, StructuredReport, write_records
from medllm_nb.instruct.instruct import run_instruct
from medllm_nb.instruct.instructions import TASKS, InstructParams
from medllm_nb.structure.reports import structure_report

REPORT = """DISCHARGE SUMMARY
HOSPITAL COURSE: Weakness for two days. Takes spironolactone. Seen {n} times in the ward {words}.
LABORATORY RESULTS
Potassium   6.{n} mmol/L  (3.5-5.1)  H
Sodium      139 mmol/L  (135-145)
Creatinine  1.9 mg/dL   (0.6-1.3)  H
White blood cells  15.8 10^9/L  (4.0-11.0)  H
EXAMINATION: Muscle strength 4/5 in the legs. Reduced tendon reflexes. Heart sounds normal.
IMPRESSION: 1. Weakness from a high potassium on spironolactone.
2. Kidney failure. Differential diagnosis: myasthenia gravis, hypothyroid myopathy.
DIAGNOSIS: Hyperkalemia (ICD-10-CM E87.5)
PLAN:
1. Stop spironolactone.
2. Recheck potassium in 24 hours."""
WORDS = "alpha bravo delta echo golf hotel india kilo lima mike oscar papa".split()
EVERYTHING = InstructParams(tasks=dict.fromkeys(TASKS, 1))


def structured(text, report_id="s1", patient_key="p"):
    return structure_report(DeidReport(report_id=report_id, patient_key=patient_key, format="txt", text=text))


def a_report(n=1):
    words = " ".join(Random(n).sample(WORDS, 9))
    return structured(REPORT.format(n=n, words=words), f"de{n}", f"p{n}")


def run(root, reports, params=EVERYTHING):
    "The stage on these reports; without another file, `feedback.jsonl` is empty, as it comes with the repository."
    (root / "feedback.jsonl").parent.mkdir(parents=True, exist_ok=True)
    (root / "feedback.jsonl").touch()
    write_records(root / "artifacts/structure/reports", reports, StructuredReport)
    return run_instruct(params, root)
