"The measurements find what a model was made to remember, and the stage runs end to end, DP-SGD included."

import json
import random

import pandas as pd
import pytest

from medllm_nb.core import Example, Message, write_records
from medllm_nb.privacy import (
    MemorizationParams,
    attack_auc,
    attack_scores,
    mean_by_patient,
    canary,
    canary_exposures,
    learn_by_heart,
    run_memorization,
    random_secrets,
    token_nats,
    verbatim,
)
from medllm_nb.train.trainer import SftParams, add_adapter, read_base

pytestmark = pytest.mark.slow


def example(patient, i=0, asked="Report?"):
    "A patient's own string of words, which nobody could guess."
    chance = random.Random(1000 * patient + i)
    words = [f"w{chance.randrange(97)}" for _ in range(6)]
    return Example(
        example_id=f"e{patient:02d}-{i}",
        report_id=f"r{patient}",
        patient_key=f"p{patient}",
        specialty="other",
        task="question",
        prompt=[Message(role="user", content=asked)],
        completion=[Message(role="assistant", content=" ".join(words))],
    )


def test_what_was_learnt_by_heart_is_found_and_nothing_where_nothing_was_learnt(tiny_model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval(),
        AutoTokenizer.from_pretrained(tiny_model),
    )
    members, others, (planted, never, *candidates) = (
        [example(p, asked="") for p in range(12)],
        [example(p, asked="") for p in range(12, 24)],
        random_secrets(18, 1),
    )
    aucs = lambda nats, base: {
        attack: attack_auc(mean_by_patient(s[:12], of[:12]), mean_by_patient(s[12:], of[12:]))
        for attack, s in attack_scores(nats, base).items()
    }
    both, of = members + others, [e.patient_key for e in members + others]
    exposures = lambda: [r["exposure"] for r in canary_exposures(model, tokenizer, {planted: 30, never: 0}, candidates)]
    shares = lambda: [
        sum(r["share"] for r in verbatim(model, tokenizer, side, 6, 6)) / len(side) for side in (members, others)
    ]

    base = token_nats(model, tokenizer, both)
    assert max(exposures()) < 3 and max(shares()) < 0.2
    learn_by_heart(model, tokenizer, [canary(planted)], steps=5)  # something, but none of theirs
    for attack, told in aucs(token_nats(model, tokenizer, both), base).items():
        assert 0.25 < told["auc"] < 0.75, f"{attack} claims to know what nobody learnt"

    learn_by_heart(model, tokenizer, [*members, canary(planted)], steps=150)
    for attack, told in aucs(token_nats(model, tokenizer, both), base).items():
        assert told["auc"] > 0.9 and told["low"] > 0.7, f"{attack} misses what was learnt by heart"
    learnt, unseen = shares()
    assert learnt > unseen + 0.3, "what it can recite is not found"
    high, low = exposures()  # at most log2 of 17
    assert high > 3 > low, "the planted secret does not stand out"


@pytest.fixture
def root(tiny_model, tmp_path):
    "A run that got as far as sft."
    from medllm_nb.model.model import ModelParams, run_model

    (tmp_path / "params.yaml").write_text("")
    run_model(ModelParams(name=str(tiny_model)), tmp_path)
    for split, patients in {"train": range(5), "validation": range(5, 6), "test": range(6, 8)}.items():
        write_records(tmp_path / "artifacts/split" / split, [example(p) for p in patients], Example)
    sft = SftParams(max_length=128, lora_r=4)
    add_adapter(read_base(tmp_path, 128)[0], sft).save_pretrained(tmp_path / "artifacts/sft/adapter")
    (tmp_path / "artifacts/sft/training.json").write_text(json.dumps({"params": sft.model_dump()}))
    return tmp_path


def test_the_stage_end_to_end(root):
    params = MemorizationParams(
        examples=4,
        insertions=[1],
        canaries=1,
        candidates=8,
        attack_examples=4,
        prefix_tokens=4,
        match_tokens=4,
        dp_epsilon=8,
        dp_steps=2,
        dp_lot=2,
    )
    result = run_memorization(params, root)
    assert result == json.loads((root / "artifacts/metrics/memorization.json").read_text())
    assert list(result) == ["base", "sft", "canaries", "dp"]
    assert result["sft"]["attacks"]["ratio"]["auc"] == 0.5, "a fresh adapter changes nothing"
    assert (
        result["sft"]["attacks"]["loss"] == result["base"]["attacks"]["loss"]
        and result["base"]["attacks"]["loss"]["others"] == 3
    )
    assert set(result["dp"]["exposure"]) == set(result["canaries"]["exposure"]) == {"0", "1"}
    assert 0 < result["dp"]["spent"]["epsilon"] <= 8
    curves = pd.read_csv(root / "artifacts/plots/memorization_attack.csv")
    assert set(curves.columns) == {"model", "attack", "member", "score"}, (
        "a patient's key or text would be in a plot's data"
    )
    assert not (root / "artifacts/.cache/memorization").exists()
