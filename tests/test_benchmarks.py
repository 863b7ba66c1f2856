"Public benchmarks: a damaged file is named, nothing unreadable is dropped, and the table has everything side by side."
import json

import pandas as pd
import pytest
from conftest import SHARED

from medllm_nb.benchmarks import READERS, BenchmarksParams, Outcome, benchmark_rows, read_benchmarks, run_benchmarks
from medllm_nb.core import read_records
from medllm_nb.train import SftParams, add_adapter, read_base

MEDQA = {"question": "Which electrolyte?", "options": {"A": "Sodium", "B": "Potassium", "C": "Calcium", "D": "Zinc"}, "answer_idx": "B", "answer": "Potassium", "meta_info": "step1"}


@pytest.fixture
def data(tmp_path):
    "A tiny made-up benchmark of each kind, in the published forms."
    for name in READERS: (tmp_path / name).mkdir()
    pubmed = {str(i): {"QUESTION": f"Does drug {i} work?", "CONTEXTS": ["It was tried.", "It worked."], "final_decision": "yes"} for i in range(3)}
    (tmp_path / "pubmedqa/ori_pqal.json").write_text(json.dumps(pubmed))
    (tmp_path / "pubmedqa/test_ground_truth.json").write_text(json.dumps({"0": "yes", "2": "yes"}))
    (tmp_path / "medqa/test.jsonl").write_text("".join(json.dumps(MEDQA | {"question": f"Question {i}?"}) + "\n" for i in range(2)))
    pd.DataFrame([{"ID": i, "section_header": "CC", "section_text": "Chest pain.", "dialogue": "Doctor: Pain?\nPatient: In the chest."} for i in range(2)]).to_csv(tmp_path / "mts-dialog/test1.csv", index=False)
    pd.DataFrame([{"encounter_id": "D1", "dialogue": "[doctor] hi", "note": "HISTORY OF PRESENT ILLNESS\n\nNone."}]).to_csv(tmp_path / "aci-bench/clinicalnlp_taskB_test1.csv", index=False)
    return tmp_path


@pytest.mark.parametrize("file,content,says", [
    ("pubmedqa/test_ground_truth.json", '{"0": "yes", "77": "no"}', "ori_pqal.json lacks 1 of the ids"),
    ("pubmedqa/ori_pqal.json", "{", "ori_pqal.json is not JSON"),
    ("medqa/test.jsonl", "not json\n", "test.jsonl, line 1 is not JSON"),
    ("medqa/test.jsonl", json.dumps(MEDQA | {"answer_idx": "E"}), "row 1: not four options"),
    ("medqa/test.jsonl", "", "holds no rows"),
    ("medqa/another_test.jsonl", json.dumps(MEDQA), "holds 2 files"),
    ("mts-dialog/test1.csv", "ID,dialogue\n1,hi\n", "lacks ['section_header', 'section_text']"),
])
def test_a_damaged_file_is_named(data, file, content, says):
    (data / file).write_text(content)
    with pytest.raises(ValueError) as caught: read_benchmarks(data)
    assert says in str(caught.value)


def test_the_published_files_have_their_published_sizes():
    if not SHARED.is_dir(): pytest.skip("no shared data here")
    sizes = {name: len(items) for name, items in read_benchmarks(SHARED).items()}
    assert sizes == {"pubmedqa": 500, "mts-dialog": 200, "aci-bench": 40}


def test_base_and_tuned_on_all_four(data, tiny_model, tmp_path):
    from medllm_nb.model import ModelParams, run_model
    root = tmp_path / "run"; root.mkdir()
    (root / "params.yaml").write_text("")
    run_model(ModelParams(name=str(tiny_model)), root)
    add_adapter(read_base(root, 512)[0], SftParams()).save_pretrained(root / "artifacts/sft/adapter")
    rows = pd.DataFrame(run_benchmarks(BenchmarksParams(data_dir=str(data), max_items=0, max_new_tokens=4, max_note_tokens=4, max_seq_length=512), root))
    outcomes = read_records(root / "artifacts/benchmarks/outcomes", Outcome)
    assert len(outcomes) == 2 * (2 * 2 + 2 * 2 + 2 + 1), "each item, once a way and model"
    unread = [o for o in outcomes if not o.parsed]
    assert unread and all(o.score == 0 for o in unread), "a random model's babble was read as an answer"
    assert json.loads((root / "artifacts/metrics/benchmarks.json").read_text())["unreadable"] == len(unread)
    written = rows[(rows.benchmark == "medqa") & (rows.way == "written")].set_index("model")
    assert written.loc["base", "items"] == 2 and written.loc["base", "read"] < 1
    assert {"base", "tuned", "change, same items", "always B", "HuatuoGPT-o1-8B"} <= set(written.index)
    same = rows[rows.model == "change, same items"].score  # a fresh adapter changes nothing
    assert (same == 0).all()


def test_an_unreadable_answer_lowers_the_score():
    items = [Outcome(item_id=str(i), benchmark="medqa", model="base", way="written", text=t, score=s, parsed=p) for i, (t, s, p) in enumerate([("B", 1, True), ("well", 0, False)])]
    from medllm_nb.benchmarks import Item
    whole = {"medqa": [Item(item_id="0", benchmark="medqa", source="", question="?", choices=MEDQA["options"], reference="B")]}
    base = next(r for r in benchmark_rows(items, whole) if r["model"] == "base")
    assert (base["score"], base["items"], base["read"]) == (0.5, 2, 0.5)
