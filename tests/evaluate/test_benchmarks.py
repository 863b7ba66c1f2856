"Public benchmarks: a damaged file is named, nothing unreadable is dropped, and the table has everything side by side."

import json

import pandas as pd
import pytest
from conftest import SHARED

from medllm_nb.core import read_records
from medllm_nb.evaluate.benchmark_data import BENCHMARK_READERS, Item, read_benchmarks
from medllm_nb.evaluate.benchmark_scores import BenchmarksParams, Outcome, benchmark_rows, rouge
from medllm_nb.evaluate.benchmarks import run_benchmarks

MEDQA = {
    "question": "Which electrolyte?",
    "options": {"A": "Sodium", "B": "Potassium", "C": "Calcium", "D": "Zinc"},
    "answer_idx": "B",
    "answer": "Potassium",
    "meta_info": "step1",
}


@pytest.fixture
def data(tmp_path):
    "A tiny made-up benchmark of each kind, in the published forms."
    for name in BENCHMARK_READERS:
        (tmp_path / name).mkdir()
    pubmed = {
        str(i): {
            "QUESTION": f"Does drug {i} work?",
            "CONTEXTS": ["It was tried.", "It worked."],
            "final_decision": "yes",
        }
        for i in range(3)
    }
    (tmp_path / "pubmedqa/ori_pqal.json").write_text(json.dumps(pubmed))
    (tmp_path / "pubmedqa/test_ground_truth.json").write_text(json.dumps({"0": "yes", "2": "yes"}))
    (tmp_path / "medqa/test.jsonl").write_text(
        "".join(json.dumps(MEDQA | {"question": f"Question {i}?"}) + "\n" for i in range(2))
    )
    pd.DataFrame(
        [
            {
                "ID": i,
                "section_header": "CC",
                "section_text": "Chest pain.",
                "dialogue": "Doctor: Pain?\nPatient: In the chest.",
            }
            for i in range(2)
        ]
    ).to_csv(tmp_path / "mts-dialog/test1.csv", index=False)
    pd.DataFrame(
        [{"encounter_id": "D1", "dialogue": "[doctor] hi", "note": "HISTORY OF PRESENT ILLNESS\n\nNone."}]
    ).to_csv(tmp_path / "aci-bench/clinicalnlp_taskB_test1.csv", index=False)
    return tmp_path


@pytest.mark.parametrize(
    "file,content,says",
    [
        ("pubmedqa/test_ground_truth.json", '{"0": "yes", "77": "no"}', "ori_pqal.json lacks 1 of the ids"),
        ("pubmedqa/ori_pqal.json", "{", "ori_pqal.json is not JSON"),
        ("medqa/test.jsonl", "not json\n", "test.jsonl, line 1 is not JSON"),
        ("medqa/test.jsonl", json.dumps(MEDQA | {"answer_idx": "E"}), "row 1: not four options"),
        ("medqa/test.jsonl", "", "holds no rows"),
        ("medqa/another_test.jsonl", json.dumps(MEDQA), "holds 2 files"),
        ("mts-dialog/test1.csv", "ID,dialogue\n1,hi\n", "lacks ['section_header', 'section_text']"),
    ],
)
def test_a_damaged_file_is_named(data, file, content, says):
    (data / file).write_text(content)
    with pytest.raises(ValueError) as caught:
        read_benchmarks(data)
    assert says in str(caught.value)


needs_data = pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data here")


@pytest.mark.data
@needs_data
@pytest.mark.parametrize("name,published", [("mts-dialog", 0.218), ("aci-bench", 0.328)])
def test_copying_the_dialogue_scores_as_published(name, published):
    items = BENCHMARK_READERS[name](SHARED / name)
    copied = rouge([i.source for i in items], [i.reference for i in items])["rouge1"]
    assert sum(copied) / len(copied) == pytest.approx(published, abs=0.0006)


@pytest.mark.data
@needs_data
def test_the_published_files_have_their_published_sizes():
    sizes = {name: len(items) for name, items in read_benchmarks(SHARED).items()}
    assert sizes == {"pubmedqa": 500, "mts-dialog": 200, "aci-bench": 40}


def test_an_unreadable_answer_lowers_the_score():
    items = [
        Outcome(item_id=str(i), benchmark="medqa", model="base", scoring="written", text=t, score=s, parsed=p)
        for i, (t, s, p) in enumerate([("B", 1, True), ("well", 0, False)])
    ]
    whole = {
        "medqa": [
            Item(item_id="0", benchmark="medqa", source="", question="?", choices=MEDQA["options"], reference="B")
        ]
    }
    base = next(r for r in benchmark_rows(items, whole) if r["model"] == "base")
    assert (base["score"], base["items"], base["read"]) == (0.5, 2, 0.5)


def test_the_whole_run_is_written_down(project, data, tiny_model):
    "Base and adapter on every benchmark, each outcome and the table kept."
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_model), LoraConfig(target_modules=["q_proj"])
    ).save_pretrained(project / "adapter")
    rows = run_benchmarks(
        BenchmarksParams(
            data_dir=".", adapter="adapter", max_items=1, max_new_tokens=4, max_note_tokens=4, max_seq_length=512
        ),
        project,
    )
    outcomes = read_records(project / "artifacts/benchmarks/outcomes", Outcome)
    assert {(o.benchmark, o.model) for o in outcomes} == {(b, m) for b in BENCHMARK_READERS for m in ("base", "tuned")}
    assert all(o.rouge["rouge1"] == o.score for o in outcomes if o.scoring == "rouge") and any(
        o.scoring == "rouge" for o in outcomes
    )
    assert {r["benchmark"] for r in rows} >= set(BENCHMARK_READERS) and json.loads(
        (project / "artifacts/metrics/benchmarks.json").read_text()
    )["answers"] == len(outcomes)
