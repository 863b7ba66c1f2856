"Past one process: two workers learn what one does, and a run that loses one of them goes on from its last checkpoint."

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from conftest import ROOT, varied
from safetensors.torch import load_file

from medllm_nb.core import Example, read_records, write_json, write_records
from medllm_nb.grpo.grpo import run_grpo
from medllm_nb.grpo.policy import GrpoParams
from medllm_nb.grpo.watch import Sample
from medllm_nb.train.launch import launch_command, start
from medllm_nb.model.base_model import load_model
from medllm_nb.model.model import ModelParams, run_model
from medllm_nb.train.sft import run_sft
from medllm_nb.train.tokens import demo_examples
from medllm_nb.train.trainer import SftParams, add_adapter

TWO = ROOT / "profiles" / "accelerate" / "cpu.yaml"
SMALL = dict(
    max_steps=12, eval_steps=4, max_length=256, eval_examples=4, early_stopping_patience=99, accelerate=str(TWO)
)


@pytest.fixture
def project(tmp_path, tiny_model, monkeypatch):
    (tmp_path / "params.yaml").write_text("{}\n")
    for split in ("train", "validation"):
        write_records(tmp_path / "artifacts" / "split" / split, varied(4), Example)
    run_model(ModelParams(name=str(tiny_model), dtype="float32"), tmp_path)  # bf16 sums differ in two processes
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def result_of(project):
    history = pd.read_csv(project / "artifacts" / "plots" / "sft_loss.csv")
    return history, load_file(project / "artifacts" / "sft" / "adapter" / "adapter_model.safetensors")


@pytest.mark.slow
def test_two_workers_one_lost_on_the_way_learn_what_one_process_does(project):
    params = SftParams(**SMALL, per_device_train_batch_size=2)
    write_json(project / "params.json", params.model_dump())
    process = subprocess.Popen(
        launch_command("medllm_nb.train.sft", TWO, project / "params.json"),
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 900
    while not list((project / "artifacts" / ".cache" / "sft").glob("*/checkpoint-4/trainer_state.json")):
        assert process.poll() is None and time.time() < deadline, "no checkpoint"
        time.sleep(0.02)
    workers = [p for p in psutil.Process(process.pid).children(recursive=True) if p.environ().get("RANK") == "1"]
    os.kill(workers[0].pid, signal.SIGKILL)
    assert process.wait(timeout=600) != 0
    assert not (project / "artifacts" / "sft").exists(), "a broken run left an output"

    metrics = start(run_sft, params, "medllm_nb.train.sft", project)
    assert metrics["resumed"] == 1 and metrics["steps"] == 12
    assert json.loads((project / "artifacts" / "sft" / "training.json").read_text())["processes"] == 2
    history, adapter = result_of(project)
    run_sft(SftParams(**SMALL, per_device_train_batch_size=4), project)
    alone, expected = result_of(project)
    for split in ("train", "validation"):
        np.testing.assert_allclose(history[history.split == split].loss, alone[alone.split == split].loss, rtol=1e-3)
    assert adapter.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(adapter[name], expected[name], rtol=1e-2, atol=1e-4)


@pytest.mark.slow
def test_grpo_in_two_processes_samples_and_learns_what_one_does(project, tiny_model):
    for split in ("train", "validation"):
        write_records(project / "artifacts" / "split" / split, demo_examples(), Example)
    sft = SftParams(lora_r=4, lora_alpha=8)
    add_adapter(load_model(str(tiny_model))[0], sft).save_pretrained(project / "artifacts" / "sft" / "adapter")
    write_json(
        project / "artifacts" / "sft" / "training.json",
        {"params": sft.model_dump(), "base": json.loads((project / "artifacts" / "model" / "model.json").read_text())},
    )
    small = dict(
        max_steps=2,
        eval_steps=1,
        eval_examples=2,
        num_generations=4,
        prompts_per_step=2,
        temperature=1.0,
        max_completion_length=6,
        learning_rate=1e-2,
        patience=99,
        max_drop=9.0,
    )
    seen = []
    for knobs in (dict(per_device_train_batch_size=4, accelerate=str(TWO)), dict(per_device_train_batch_size=8)):
        metrics = start(run_grpo, GrpoParams(**small, **knobs), "medllm_nb.grpo.grpo", project)
        samples = read_records(project / "artifacts" / "grpo" / "samples", Sample)
        seen.append(
            (sorted((s.step, s.example_id, s.text, round(s.advantage, 3)) for s in samples), metrics["last_reward"])
        )
    (two, paid), (one, expected) = seen
    assert (
        two == one and len(one) == 16 and paid == pytest.approx(expected, abs=1e-4)
    )  # the second step's samples are those of the updated model
    assert any(advantage for *_, advantage in one)


def test_one_process_is_the_stages_own(project):
    "The default, found in the repository where the project has no such file."
    ran = start(lambda params, root: os.getpid(), SftParams(), "medllm_nb.train.sft", project)
    assert ran == os.getpid() and SftParams().accelerate.endswith("one.yaml")


SHARD = """
import json, sys, torch, torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from medllm_nb.model.base_model import load_model, rank_and_world_size
from medllm_nb.train.trainer import SftParams, add_adapter

torch.manual_seed(0)
dist.init_process_group("gloo")
model, tok = load_model(sys.argv[1], dtype="float32")
model = add_adapter(model, SftParams())
for n, p in model.named_parameters():
    if "lora_B" in n:
        p.data = 0.05 * torch.randn_like(p)
ids = torch.randint(5, 1000, (2, 24))

def step(batch):
    loss = model(input_ids=batch, labels=batch, use_cache=False).loss
    loss.backward()
    return loss.item()

def gradients():
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}

whole = step(ids)
expected = {n: g.clone() for n, g in gradients().items()}
model.zero_grad(set_to_none=True)
mesh = init_device_mesh("cpu", (2,))
for layer in model.get_base_model().model.layers:
    fully_shard(layer, mesh=mesh)
fully_shard(model, mesh=mesh)
local = sum(p.to_local().numel() for p in model.parameters()) / sum(p.numel() for p in model.parameters())
rank, _ = rank_and_world_size()
loss = torch.tensor(step(ids[rank : rank + 1]))
dist.all_reduce(loss)
differences = [(g.full_tensor() - expected[n]).abs().max().item() for n, g in gradients().items()]
options = StateDictOptions(full_state_dict=True, cpu_offload=True)
state = get_model_state_dict(model, options=options)
if rank == 0:
    figures = {"whole": whole, "sharded": loss.item() / 2, "grad_diff": max(differences), "local": local}
    scale = max(g.abs().max().item() for g in expected.values())
    print(json.dumps(figures | {"scale": scale, "lora": sum("lora" in k for k in state)}))
dist.destroy_process_group()
"""


@pytest.mark.slow
def test_fsdp2_shards_the_model_with_its_adapter_and_changes_nothing(tiny_model, tmp_path):
    "PyTorch's own sharding on two CPU processes (Accelerate's is for cards): half the weights each, equal gradients."
    (tmp_path / "shard.py").write_text(SHARD)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        str(tmp_path / "shard.py"),
        str(tiny_model),
    ]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["local"] < 0.55 and found["lora"] == 28
    assert found["sharded"] == pytest.approx(found["whole"], rel=1e-5) and found["grad_diff"] < 1e-4 * found["scale"]
