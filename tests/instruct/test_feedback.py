"What people wrote is checked too, and takes the place of the report's own answer."

from instruct_reports import EVERYTHING, a_report, run

from medllm_nb.core import Example, Message, read_records
from medllm_nb.instruct.examples import make_example, write_jsonl


def test_feedback_passes_the_gate_where_its_report_is_known(tmp_path):
    reports = [a_report(n) for n in range(1, 4)]

    def written(n, text, **more):
        update = {"example_id": f"f{n}", "completion": [Message(role="assistant", content=text)]}
        return make_example(reports[n - 1], "summary").model_copy(update=update | more)

    right = written(1, "Weak from a potassium of 6.1.")
    wrong = written(2, "Weak from a potassium of 8.8.")
    long = written(3, "Weak. " * 100)
    unknown = written(2, "Potassium of 8.8.", report_id="elsewhere", example_id="f4")
    write_jsonl(tmp_path / "people.jsonl", [right, wrong, long, unknown])
    params = EVERYTHING.model_copy(update={"tasks": {"summary": 1}, "feedback": "people.jsonl"})
    metrics = run(tmp_path, reports, params)
    kept = {e.example_id: e.report_id for e in read_records(tmp_path / "artifacts/instruct/examples", Example)}
    assert {"f1", "f4"} <= set(kept) and not {"f2", "f3"} & set(kept)
    # the report's own answer stays where a person's was refused
    assert sorted(kept.values()) == ["de1", "de2", "de3", "elsewhere"]
    lost = (tmp_path / "artifacts/plots/instruct_dropped.csv").read_text()
    assert "summary,feedback: a number that the report does not hold,1" in lost
    assert "summary,feedback: answer too long,1" in lost
    assert metrics["dropped_summary"] == 2
    card = (tmp_path / "artifacts/instruct/card.md").read_text()
    assert "2 come from feedback" in card and "No text was written by a model" not in card
