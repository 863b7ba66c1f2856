"The stage keeps its ledger: what was once dealt stays dealt, and corrections go to training."

import pytest

from medllm_nb.core import Example, Message, StructuredReport, read_records, write_records
from medllm_nb.instruct.assignment import SPLITS, SplitParams, split_examples
from medllm_nb.instruct.split import run_split


def a_report(report_id, patient_key, i):
    numbers = (i * 7919, i * 104729, i * 15485863)
    text = "Report tells of finding {} and of number {}, which is unlike {} in any other.".format(*numbers)
    return StructuredReport(
        report_id=report_id, patient_key=patient_key, format="txt", specialty="radiology", text=text
    )


def an_example(report):
    return Example(
        example_id=f"e-{report.report_id}",
        report_id=report.report_id,
        patient_key=report.patient_key,
        specialty=report.specialty,
        task="summary",
        prompt=[Message(role="user", content="?")],
        completion=[Message(role="assistant", content="!")],
    )


REPORTS = [a_report(f"r{i}", f"p{i // 2}", i) for i in range(60)]
REPORTS[-1] = REPORTS[-1].model_copy(update={"text": "Copied. " + REPORTS[0].text})
EXAMPLES = [an_example(r) for r in REPORTS]


def run(root, reports, examples, corrected=()):
    write_records(root / "artifacts/instruct/examples", examples, Example)
    write_records(root / "artifacts/structure/reports", reports, StructuredReport)
    if corrected:
        write_records(root / "artifacts/instruct/feedback_reports", corrected, StructuredReport)
    return run_split(SplitParams(), root)


def written(root):
    return {name: read_records(root / "artifacts/split" / name, Example) for name in SPLITS}


@pytest.fixture
def root(tmp_path):
    "A project whose split has run once."
    run(tmp_path, REPORTS, EXAMPLES)
    return tmp_path


def test_the_sets_are_written_and_counted(tmp_path):
    metrics = run(tmp_path, REPORTS, EXAMPLES)
    assert written(tmp_path) == split_examples(EXAMPLES, REPORTS)
    counts = ("patients", "groups", "near_duplicate_pairs", "patients_with_a_side_before", "left_out")
    assert [metrics[name] for name in counts] == [30, 29, 1, 0, 0]
    table = (tmp_path / "artifacts/plots/split_specialty.csv").read_text().splitlines()
    assert table[0] == "split,specialty,task,examples" and len(table) == 4


def test_nobody_changes_sides_when_reports_are_added(root):
    before = {e.patient_key: name for name, examples in written(root).items() for e in examples}
    added = [a_report(f"new{i}", f"q{i}", 1000 + i) for i in range(30)]
    metrics = run(root, REPORTS + added, EXAMPLES + [an_example(r) for r in added])
    after = {e.patient_key: name for name, examples in written(root).items() for e in examples}
    assert metrics["patients_with_a_side_before"] == 30
    assert before.items() <= after.items() and len(after) == 60


def test_a_patient_known_from_corrections_alone_is_trained_on(root):
    corrected = a_report("corrected", "q-new", 2000)
    run(root, REPORTS, [*EXAMPLES, an_example(corrected)], [corrected])
    assert an_example(corrected) in written(root)["train"]
