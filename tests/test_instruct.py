"What is trained on stands in the evidence, what people wrote is checked too, and the stage writes the same bytes however it runs."
import json
from random import Random

import pytest
import yaml

from medllm_nb.core import DeidReport, Example, Message, StructuredReport, read_records, write_records
from medllm_nb.instruct import check_answer, make_example, run_instruct, unsupported, write_jsonl
from medllm_nb.structure import structure_report
from medllm_nb.tasks import TASKS, InstructParams, NoExample, draft_not_stated, draft_question

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
EVERYTHING = InstructParams(tasks=dict.fromkeys(TASKS, 1))


def a_report(n=1):
    words = " ".join(Random(n).sample(["alpha", "bravo", "delta", "echo", "golf", "hotel", "india", "kilo", "lima", "mike", "oscar", "papa"], 9))
    return structure_report(DeidReport(report_id=f"de{n}", patient_key=f"p{n}", format="txt", text=REPORT.format(n=n, words=words)))


def run(root, reports, params=EVERYTHING):
    write_records(root / "artifacts/structure/reports", reports, StructuredReport)
    return run_instruct(params, root)


def files(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted((root / "artifacts").rglob("*")) if p.is_file()}


@pytest.mark.parametrize("task", ["abnormal_labs", "diagnosis", "differential", "coding", "question", "recommendations", "explanation", "conversation"])
def test_no_span_of_the_evidence_can_be_spared(task):
    "The report holds all of it; the evidence without one span does not."
    report = a_report()
    example = make_example(report, task)
    answer, spans = example.completion[0].content, sorted({(e.start, e.end) for e in example.evidence})
    assert unsupported(task, answer, spans, report) is None
    needed = spans if task != "conversation" else [s for s in spans if unsupported(task, answer, [t for t in spans if t != s], report)]
    assert len(needed) > 1 or len(spans) == 1
    for left_out in needed: assert unsupported(task, answer, [s for s in spans if s != left_out], report), report.text[slice(*left_out)]


@pytest.mark.parametrize("task, of, to, reason", [
    ("summary", "high", "low", "words"), ("recommendations", "spironolactone", "apixaban", "words"), ("recommendations", "24", "139", "number"),
    ("diagnosis", "Reduced", "Brisk", "words"), ("diagnosis", "Hyperkalemia", "Hyponatremia", "words"), ("coding", "Hyperkalemia", "Kidney failure", "words"),
    ("differential", "Myasthenia", "Ocular myasthenia", "words"), ("explanation", "Stop", "Raise", "words"), ("abnormal_labs", "1.9", "6.1", "lab result"),
    ("abnormal_labs", "Creatinine", "Sodium", "lab result"), ("diagnosis", "Labs: Potassium 6.1", "Labs: Creatinine 6.1", "lab result")])
def test_an_answer_that_says_what_its_evidence_does_not_is_refused(task, of, to, reason):
    "Each altered answer but the one with apixaban could be pieced together from the report's own words and numbers."
    report = a_report()
    example = make_example(report, task)
    answer, spans = example.completion[0].content, [(e.start, e.end) for e in example.evidence]
    assert of in answer and unsupported(task, answer, spans, report) is None
    assert reason in unsupported(task, answer.replace(of, to, 1), spans, report)


def test_a_report_gives_an_example_of_every_task():
    "A numbered impression, a unit with a power of ten and a list's own marks are no unsupported numbers."
    for task in TASKS: assert make_example(a_report(), task).task == task


@pytest.mark.parametrize("task", ["question", "explanation", "conversation", "abnormal_labs"])
@pytest.mark.parametrize("before, after", [("CLINIC\nPotassium 6.8 mmol/L (3.5-5.1)\n\n", ""), ("", "IMPRESSION: Potassium 6.8 mmol/L (3.5-5.1), sodium 120 mmol/L (135-145).\n")])
def test_no_answer_has_a_value_that_its_prompt_does_not_show(task, before, after):
    "A lab that stands in the header or, for a diagnosis, in the impression is never shown."
    text = before + "HISTORY: Weakness for two days.\nFINDINGS: Peaked T waves are seen in all leads.\n" + after + "DIAGNOSIS: Hyperkalemia (E87.5)\n"
    try: example = make_example(structure_report(DeidReport(report_id="h1", patient_key="p", format="txt", text=text)), task)
    except NoExample: return
    prompt, *said = [m.content for m in example.prompt[1:] + example.completion if m.role == "assistant" or "Report:" in m.content]
    for value in ("6.8", "120"): assert value in prompt or not any(value in s for s in said)


def test_an_abstention_beside_a_number_does_not_open_the_gate():
    with pytest.raises(NoExample, match="number"): check_answer("Potassium 9.9 mmol/L is high. Sodium is not mentioned.", a_report(), InstructParams())
    check_answer("The report does not mention a sodium.", a_report(), InstructParams())


@pytest.mark.parametrize("said, never_asked", [
    ("NKDA.", "allergies"), ("20 cigarettes a day.", "a smoking history"), ("ETOH daily.", "alcohol use"), ("Two beers.", "alcohol use"), ("Brother had an MI.", "the family history"),
    ("On warfarin.", "the patient's medications"), ("Pressure 180/90.", "the blood pressure"), ("Blood sugar 180.", "the glucose"), ("Bicarb 18.", "the bicarbonate"),
    ("H/H 10/30.", "the hemoglobin"), ("Crea 1.2.", "the creatinine"), ("Lytes fine.", "the sodium"), ("Social history: unremarkable.", "alcohol use"), ("Labs were normal.", "the ferritin")])
def test_what_is_charted_in_shorthand_is_never_called_unstated(said, never_asked):
    asked = set()
    for n in range(80):
        report = structure_report(DeidReport(report_id=f"s{n}", patient_key="p", format="txt", text=f"HISTORY: Cough for days. {said}\nFINDINGS: Lungs are clear and the heart is normal."))
        try: asked.add(draft_not_stated(report, EVERYTHING).fill["topic"])
        except NoExample: pass
    assert asked and never_asked not in asked


@pytest.mark.parametrize("topic, said", [
    ("allergies", "ALLERGIES: Penicillin."), ("allergies", "NKDA."), ("the patient's medications", "MEDICATIONS: Calcium 600 mg daily, warfarin 5 mg."),
    ("a smoking history", "He smokes a pack a day."), ("the family history", "Her mother had a stroke."), ("the blood pressure", "BP 150/90."), ("alcohol use", "Denies alcohol.")])
def test_each_topic_that_may_be_unstated_is_also_asked_where_it_stands(topic, said):
    made = {}
    for n in range(40):
        text = f"HISTORY: Cough for days.\n{said}\nFINDINGS: Lungs are clear and the heart is normal."
        report = structure_report(DeidReport(report_id=f"s{n}", patient_key="p", format="txt", text=text))
        made[draft_question(report, EVERYTHING).fill["topic"]] = make_example(report, "question", EVERYTHING).completion[0].content
    assert list(made) == [topic] and made[topic].rstrip(".").endswith(said.split(": ")[-1].rstrip("."))


def test_a_topic_is_not_asked_where_a_second_sentence_may_speak_of_it():
    for said in ("He smokes. One pack lasts a week.", "BP 150/90, later BP 130/80.", "ALLERGIES: Latex.\nPLAN: Rest.\nALLERGIES: Penicillin.", "ALLERGIES: Not documented.", "PLAN: Stop smoking."):
        report = structure_report(DeidReport(report_id="s1", patient_key="p", format="txt", text=f"HISTORY: Cough for days.\n{said}"))
        with pytest.raises(NoExample, match="nothing to ask for"): draft_question(report, EVERYTHING)


def test_feedback_passes_the_gate_where_its_report_is_known(tmp_path):
    reports = [a_report(n) for n in range(1, 4)]
    def written(n, text, **more):
        e = make_example(reports[n - 1], "summary")
        return e.model_copy(update={"example_id": f"f{n}", "completion": [Message(role="assistant", content=text)]} | more)
    right, wrong, long, new = written(1, "Weak from a potassium of 6.1."), written(2, "Weak from a potassium of 8.8."), written(3, "Weak. " * 100), written(2, "Potassium of 8.8.", report_id="elsewhere", example_id="f4")
    write_jsonl(tmp_path / "people.jsonl", [right, wrong, long, new])
    metrics = run(tmp_path, reports, EVERYTHING.model_copy(update={"tasks": {"summary": 1}, "feedback": "people.jsonl"}))
    kept = {e.example_id: e.report_id for e in read_records(tmp_path / "artifacts/instruct/examples", Example)}
    assert {"f1", "f4"} <= set(kept) and not {"f2", "f3"} & set(kept)
    assert sorted(kept.values()) == ["de1", "de2", "de3", "elsewhere"], "the report's own answer stays where a person's was refused"
    lost = (tmp_path / "artifacts/plots/instruct_dropped.csv").read_text()
    assert "summary,feedback: a number that the report does not hold,1" in lost and "summary,feedback: answer too long,1" in lost and metrics["dropped_summary"] == 2
    card = (tmp_path / "artifacts/instruct/card.md").read_text()
    assert "2 come from feedback" in card and "No text was written by a model" not in card


def test_the_stage_writes_the_same_bytes_again_and_with_more_workers(tmp_path):
    reports, written = [a_report(n) for n in range(1, 46)], []
    for name, workers in (("one", 1), ("again", 1), ("two", 2)):
        run(tmp_path / name, reports, EVERYTHING.model_copy(update={"workers": workers}))
        written.append(files(tmp_path / name))
    assert written[0] == written[1] == written[2]
    assert len(read_records(tmp_path / "one/artifacts/instruct/examples", Example)) > 300


def test_the_export_names_its_file_and_columns_and_the_card_its_plots(tmp_path):
    run(tmp_path, [a_report(n) for n in range(1, 4)])
    folder = tmp_path / "artifacts/instruct"
    for info in json.loads((folder / "dataset_info.json").read_text()).values():
        rows, tags = [json.loads(line) for line in (folder / info["file_name"]).read_text().splitlines()], info["tags"]
        assert rows and info["formatting"] == "sharegpt"
        for messages in (row[info["columns"]["messages"]] for row in rows):
            assert [m[tags["role_tag"]] for m in messages] == [tags["system_tag"], *[tags["user_tag"], tags["assistant_tag"]] * (len(messages) // 2)]
            assert all(m[tags["content_tag"]] for m in messages)
    card = (folder / "card.md").read_text()
    assert {p.name for p in folder.glob("*.png")} == {line.split("](")[1].rstrip(")") for line in card.splitlines() if line.startswith("![")}
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in folder.glob("*.png"))


def test_the_card_says_how_the_examples_are_balanced(tmp_path):
    other = structure_report(DeidReport(report_id="n1", patient_key="q1", format="txt", text="LABS\nSodium 139 mmol/L (135-145)\nFINDINGS: Swollen red toe, very tender.\nIMPRESSION: Gout of the left toe.\nDIAGNOSIS: Gout (M10.9)"))
    metrics = run(tmp_path, [a_report(n) for n in range(1, 4)] + [other], EVERYTHING.model_copy(update={"tasks": {"abnormal_labs": 1}}))
    assert (metrics["largest_diagnosis_share"], metrics["normal_lab_answers_share"]) == (0.75, 0.25)
    card = (tmp_path / "artifacts/instruct/card.md").read_text()
    assert "2 in all" in card and card.index("E87.5 Hyperkalemia") < card.index("M10.9 Gout")


def test_tests_of_one_phrase_are_asked_for_and_answered_from_it():
    report = structure_report(DeidReport(report_id="f" * 16, patient_key="p", format="txt", text="LABORATORY DATA: Hgb/Hct 8.2/25.\n\nIMPRESSION: Anemia.\n"))
    example = make_example(report, "abnormal_labs", InstructParams())
    assert all(part in example.completion[0].content for part in ("Hemoglobin 8.2", "Hematocrit 25"))
