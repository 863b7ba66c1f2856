"The stage runs end to end, DP-SGD included, and its control holds: an adapter that learnt nothing changes nothing."
import json

import pandas as pd
import pytest

from medllm_nb.core import Example, Message, write_records
from medllm_nb.memorisation import MemorisationParams, run_memorisation
from medllm_nb.train import SftParams, add_adapter, read_base


def example(patient, i=0):
    "A patient's own string of words, which nobody could guess."
    words = [f"w{(patient * 37 + i * 11 + k * 7) % 97}" for k in range(8)]
    return Example(example_id=f"e{patient:02d}-{i}", report_id=f"r{patient}", patient_key=f"p{patient}", specialty="other", task="question",
                   prompt=[Message(role="user", content="Report?")], completion=[Message(role="assistant", content=" ".join(words))])


@pytest.fixture
def root(tiny_model, tmp_path):
    "A run that got as far as sft."
    from medllm_nb.model import ModelParams, run_model
    (tmp_path / "params.yaml").write_text("")
    run_model(ModelParams(name=str(tiny_model)), tmp_path)
    for split, patients in {"train": range(5), "validation": range(5, 6), "test": range(6, 8)}.items():
        write_records(tmp_path / "artifacts/split" / split, [example(p) for p in patients], Example)
    sft = SftParams(max_seq_length=128, rank=4)
    add_adapter(read_base(tmp_path, 128)[0], sft).save_pretrained(tmp_path / "artifacts/sft/adapter")
    (tmp_path / "artifacts/sft/training.json").write_text(json.dumps({"params": sft.model_dump()}))
    return tmp_path


def test_the_stage_end_to_end(root):
    params = MemorisationParams(examples=4, insertions=[1], canaries=1, candidates=8, attack_examples=4, prefix_tokens=4, match_tokens=4, dp_epsilon=8, dp_steps=2, dp_lot=2)
    result = run_memorisation(params, root)
    assert result == json.loads((root / "artifacts/metrics/memorisation.json").read_text())
    assert list(result) == ["base", "sft", "canaries", "dp"]
    assert result["sft"]["attacks"]["ratio"]["auc"] == 0.5, "a fresh adapter changes nothing"
    assert result["sft"]["attacks"]["loss"] == result["base"]["attacks"]["loss"] and result["base"]["attacks"]["loss"]["others"] == 3
    assert set(result["dp"]["exposure"]) == set(result["canaries"]["exposure"]) == {"0", "1"}
    assert 0 < result["dp"]["spent"]["epsilon"] <= 8
    curves = pd.read_csv(root / "artifacts/plots/memorisation_attack.csv")
    assert set(curves.columns) == {"model", "attack", "member", "score"}, "a patient's key or text would be in a plot's data"
    assert not (root / "artifacts/.cache/memorisation").exists()
