"GRPO survives SIGKILL and starts from SFT's adapter; a run that only does harm hands back what it was given."

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from medllm_nb.core import Example, read_records, write_json, write_records
from medllm_nb.release.export import run_export
from medllm_nb.release.forms import ExportParams
from medllm_nb.grpo.grpo import run_grpo
from medllm_nb.grpo.policy import GrpoParams, held_out_score
from medllm_nb.grpo.watch import Sample
from medllm_nb.model.model import ModelParams, run_model
from medllm_nb.model.base_model import load_model
from medllm_nb.train.trainer import SftParams, add_adapter
from medllm_nb.train.tokens import demo_examples

pytestmark = pytest.mark.slow

PARAMS = dict(
    max_steps=4,
    eval_steps=1,
    eval_examples=2,
    num_generations=4,
    prompts_per_step=2,
    per_device_train_batch_size=4,
    max_completion_length=6,
    learning_rate=1e-3,
    patience=99,
    max_drop=9.0,
)
RUN = """import sys, json, time
from transformers import TrainerCallback
import medllm_nb.grpo.trainer as g
from medllm_nb.grpo.grpo import run_grpo
from medllm_nb.grpo.policy import GrpoParams
build = g.build_grpo
class Slow(TrainerCallback):
    def on_save(self, args, state, control, **kwargs): time.sleep(1)
def slow(*args):
    trainer = build(*args)
    trainer.add_callback(Slow())
    return trainer
g.build_grpo = slow
run_grpo(GrpoParams(**json.loads(sys.argv[2])), sys.argv[1])"""


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_model):
    root = tmp_path_factory.mktemp("grpo")
    (root / "params.yaml").write_text("{}\n")
    for split in ("train", "validation"):
        write_records(root / "artifacts" / "split" / split, demo_examples(), Example)
    facts = run_model(ModelParams(name=str(tiny_model)), root)
    sft = SftParams(lora_r=4, lora_alpha=8)
    add_adapter(load_model(str(tiny_model))[0], sft).save_pretrained(root / "artifacts" / "sft" / "adapter")
    write_json(root / "artifacts" / "sft" / "training.json", {"params": sft.model_dump(), "base": facts})
    return root


def test_killed_run_resumes_and_ends_at_the_same_step(project):
    work = project / "artifacts" / ".cache" / "grpo"
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(project), json.dumps(PARAMS)],
        cwd=project,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.time() + 240
    while not list(work.glob("*/checkpoint-2/trainer_state.json")):
        assert process.poll() is None, process.stderr.read()[-2000:]
        assert time.time() < deadline, "no checkpoint in four minutes"
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (project / "artifacts" / "grpo").exists(), "a killed run left an output"

    metrics = run_grpo(GrpoParams(**PARAMS), project)
    assert metrics["resumed"] == 1 and metrics["steps"] == 4 and metrics["stopped"] == ""
    curves = pd.read_csv(project / "artifacts" / "plots" / "grpo_rewards.csv")
    assert list(curves[curves.name == "held-out score"].step) == [0, 1, 2, 3, 4], "the curve has a gap or a step twice"
    assert {"correctness", "groundedness", "clipped", "groups without spread"} <= set(curves.name)
    samples = read_records(project / "artifacts" / "grpo" / "samples", Sample)
    assert [len([s for s in samples if s.step == k]) for k in (1, 2, 3, 4)] == [8] * 4
    for step in (1, 4):
        for example in {s.example_id for s in samples if s.step == step}:
            assert abs(sum(s.advantage for s in samples if s.step == step and s.example_id == example)) < 0.05
    assert json.loads((project / "artifacts" / "grpo" / "training.json").read_text())["base"]["sft"]
    assert not list(work.glob("*/checkpoint-*")), "checkpoints of a finished run stay behind"


def test_a_run_that_brings_nothing_hands_back_the_adapter_of_sft(project):
    "A random model answers nothing right, before and after: the first adapter is the best there was."
    from safetensors.torch import load_file

    load = lambda stage: load_file(project / "artifacts" / stage / "adapter" / "adapter_model.safetensors")
    given, kept = load("sft"), load("grpo")
    assert set(given) == set(kept) and all((given[k].float() == kept[k].float()).all() for k in given)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(dict(loss_type="dr_grpo", beta=0.1), id="dr_grpo"),
        pytest.param(dict(loss_type="grpo"), id="grpo"),
        pytest.param(dict(loss_type="bnpo", num_generations=2, per_device_train_batch_size=2), id="bnpo"),
    ],
)
def test_every_loss_trains_and_kl_is_seen(project, change):
    run_grpo(GrpoParams(**PARAMS | dict(max_steps=2, eval_steps=2) | change), project)
    names = set(pd.read_csv(project / "artifacts" / "plots" / "grpo_rewards.csv").name)
    assert ("KL from the start" in names) == ("beta" in change)


def test_a_collapse_stops_the_trainer(project, monkeypatch):
    "A reward that falls to nothing after five steps: the run ends where the rule says, and its metrics say why."
    import medllm_nb.grpo.trainer as g

    steps = []

    def falling(*args):
        def reward(prompts, completions, **columns):
            steps.append(1)
            return [(len(steps) <= 5) + 0.01 * (i % 2) for i in range(len(completions))]

        return reward

    monkeypatch.setattr(g, "reward_function", falling)
    small = dict(num_generations=2, prompts_per_step=1, per_device_train_batch_size=2, max_completion_length=2)
    small |= dict(max_steps=16, eval_steps=16, max_drop=0.3)
    metrics = run_grpo(GrpoParams(**PARAMS | small), project)
    assert metrics["steps"] == len(steps) == 11, (
        "five steps before the fall, five after it, and one in which the tenth is logged"
    )
    assert (
        metrics["stopped"]
        == "reward collapsed"
        == json.loads((project / "artifacts" / "metrics" / "grpo.json").read_text())["stopped"]
    )


def test_vllm_gets_its_share_of_the_card(project, monkeypatch):
    "What Unsloth is asked for; its own default leaves a 70B no cache (tests/model/test_planner.py)."
    import medllm_nb.grpo.policy as g

    asked = {}

    def read(root, length, **engine):
        asked.update(engine, length=length)
        raise InterruptedError

    monkeypatch.setattr(g, "find_spec", lambda name: True)
    monkeypatch.setattr(g, "read_base", read)
    with pytest.raises(InterruptedError):
        g.load_policy(project, GrpoParams(use_vllm=True, vllm_gpu_memory_utilization=0.65))
    assert asked == {"fast_inference": True, "max_lora_rank": 4, "gpu_memory_utilization": 0.65, "length": 280}


def test_the_held_out_score_answers_no_more_at_a_time_than_are_trained(project, monkeypatch):
    import medllm_nb.model.generation as gen

    rows, decode = [], gen.decode
    monkeypatch.setattr(
        gen, "decode", lambda model, prompts, *args: rows.append(len(prompts)) or decode(model, prompts, *args)
    )
    model, tokenizer = load_model(json.loads((project / "artifacts" / "model" / "model.json").read_text())["name"])
    assert (
        0
        <= held_out_score(
            model, tokenizer, demo_examples(), GrpoParams(per_device_train_batch_size=3, max_completion_length=2)
        )
        <= 1
    )
    assert max(rows) == 3 and sum(rows) == len(demo_examples())


def test_export_takes_the_adapter_of_grpo_and_its_card_says_so(project):
    write_records(project / "artifacts" / "split" / "test", demo_examples(), Example)
    scores = run_export(ExportParams(stage="grpo", gguf=False, max_new_tokens=4, batch_size=4), project)
    assert abs(scores["merge_perplexity_change"]) < 0.01
    card = (project / "artifacts" / "export" / "README.md").read_text()
    assert "GRPO" in card and "| sft: lora_r | 4 |" in card and "run: best held out" in card
