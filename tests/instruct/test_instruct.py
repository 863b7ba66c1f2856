"The stage: the same bytes however it runs, an export and a card that fit what was written, and clear errors."

import json

import pytest
from instruct_reports import EVERYTHING, a_report, run, structured

from medllm_nb.core import Example, read_records
from medllm_nb.instruct.examples import make_example, write_jsonl
from medllm_nb.instruct.instructions import TASKS, InstructParams

FOUR = InstructParams(tasks={t: 1 for t in TASKS[:4]})
EMPTY = structured("FINDINGS: Lungs are clear and the heart is normal. Report ends here.", "e")


def files(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted((root / "artifacts").rglob("*")) if p.is_file()}


def examples_in(root):
    return read_records(root / "artifacts/instruct/examples", Example)


def test_the_stage_writes_the_same_bytes_again_and_with_more_workers(tmp_path):
    reports = [a_report(n) for n in range(1, 23)]  # more than one step of 20
    written = []
    for name, workers in (("one", 1), ("again", 1), ("two", 2)):
        run(tmp_path / name, reports, EVERYTHING.model_copy(update={"workers": workers}))
        written.append(files(tmp_path / name))
    assert written[0] == written[1] == written[2]
    assert len(examples_in(tmp_path / "one")) > 150


def test_the_metrics_count_what_was_made_and_what_was_not(tmp_path):
    metrics = run(tmp_path, [a_report(), EMPTY], FOUR)
    assert [e.task for e in examples_in(tmp_path)] == list(FOUR.tasks)
    counts = ("examples", "reports_without_example", "dropped_summary")
    assert [metrics[name] for name in counts] == [4, 1, 1]
    assert (metrics["largest_diagnosis_share"], metrics["normal_lab_answers_share"]) == (1, 0)
    assert "summary,no impression section,1" in (tmp_path / "artifacts/plots/instruct_dropped.csv").read_text()


def test_feedback_joins_the_rest_or_replaces_the_answer_of_its_task(tmp_path):
    every = {task: make_example(a_report(), task) for task in TASKS[:5]}
    with_file = FOUR.model_copy(update={"feedback": "more.jsonl"})
    other_task = every[TASKS[4]].model_copy(update={"example_id": "mended"})
    write_jsonl(tmp_path / "more.jsonl", [other_task])
    assert run(tmp_path, [a_report(), EMPTY], with_file)["examples"] == 5
    same_task = every["summary"].model_copy(update={"example_id": "mended"})
    write_jsonl(tmp_path / "more.jsonl", [same_task])
    run(tmp_path, [a_report(), EMPTY], with_file)
    assert examples_in(tmp_path) == [every[t] for t in TASKS[1:4]] + [same_task]


@pytest.mark.parametrize(
    "params, error, message",
    [
        pytest.param({"tasks": {"summry": 1}}, ValueError, "unknown summry", id="a task"),
        pytest.param({"feedback": "fedback.jsonl"}, FileNotFoundError, "no file fedback.jsonl", id="feedback"),
        pytest.param({"instructions": "mine.yaml"}, FileNotFoundError, "mine.yaml", id="instructions"),
    ],
)
def test_a_wrong_name_in_the_params_is_a_clear_error(tmp_path, params, error, message):
    with pytest.raises(error, match=message):
        run(tmp_path, [a_report()], InstructParams(**params))
    assert not (tmp_path / "artifacts/instruct").exists()


def test_instructions_of_ones_own_are_taken_and_checked(tmp_path):
    mine = tmp_path / "mine.yaml"
    lines = ["system: Be brief.", *(f"{task}: ['Task {task}: {{topic}}']" for task in TASKS)]
    mine.write_text("\n".join(line.replace(": {topic}", "") if "question" not in line else line for line in lines))
    run(tmp_path, [a_report()], EVERYTHING.model_copy(update={"instructions": "mine.yaml"}))
    assert {e.prompt[0].content for e in examples_in(tmp_path)} == {"Be brief."}
    mine.write_text(mine.read_text().replace("coding:", "codng:"))
    with pytest.raises(ValueError, match="mine.yaml.*line.*codng"):
        run(tmp_path, [a_report()], EVERYTHING.model_copy(update={"instructions": "mine.yaml"}))


def test_the_export_names_its_file_and_columns_and_the_card_its_plots(tmp_path):
    run(tmp_path, [a_report(n) for n in range(1, 4)])
    folder = tmp_path / "artifacts/instruct"
    for info in json.loads((folder / "dataset_info.json").read_text()).values():
        rows = [json.loads(line) for line in (folder / info["file_name"]).read_text().splitlines()]
        tags = info["tags"]
        assert rows and info["formatting"] == "sharegpt"
        for messages in (row[info["columns"]["messages"]] for row in rows):
            turns = [tags["user_tag"], tags["assistant_tag"]] * (len(messages) // 2)
            assert [m[tags["role_tag"]] for m in messages] == [tags["system_tag"], *turns]
            assert all(m[tags["content_tag"]] for m in messages)
    card = (folder / "card.md").read_text()
    shown = {line.split("](")[1].rstrip(")") for line in card.splitlines() if line.startswith("![")}
    assert {p.name for p in folder.glob("*.png")} == shown
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in folder.glob("*.png"))


def test_the_card_says_how_the_examples_are_balanced(tmp_path):
    text = (
        "LABS\nSodium 139 mmol/L (135-145)\nFINDINGS: Swollen red toe, very tender.\n"
        "IMPRESSION: Gout of the left toe.\nDIAGNOSIS: Gout (M10.9)"
    )
    reports = [a_report(n) for n in range(1, 4)] + [structured(text, "n1", "q1")]
    metrics = run(tmp_path, reports, EVERYTHING.model_copy(update={"tasks": {"abnormal_labs": 1}}))
    assert (metrics["largest_diagnosis_share"], metrics["normal_lab_answers_share"]) == (0.75, 0.25)
    card = (tmp_path / "artifacts/instruct/card.md").read_text()
    assert "2 in all" in card and card.index("E87.5 Hyperkalemia") < card.index("M10.9 Gout")
