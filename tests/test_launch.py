"Past one process: two workers learn what one does, and a run that loses one of them goes on from its last checkpoint."
import json
import os
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from conftest import ROOT, varied
from safetensors.torch import load_file

from medllm_nb.core import Example, write_json, write_records
from medllm_nb.launch import launch_command
from medllm_nb.model import ModelParams, run_model
from medllm_nb.sft import run_sft, start_sft
from medllm_nb.train import SftParams

TWO = ROOT / "profiles" / "accelerate" / "cpu.yaml"
SMALL = dict(max_steps=12, eval_steps=4, max_seq_length=256, eval_examples=4, early_stopping_patience=99, accelerate=str(TWO))


@pytest.fixture
def project(tmp_path, tiny_model, monkeypatch):
    (tmp_path / "params.yaml").write_text("{}\n")
    for split in ("train", "validation"): write_records(tmp_path / "artifacts" / "split" / split, varied(4), Example)
    run_model(ModelParams(name=str(tiny_model)), tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


def result_of(project):
    history = pd.read_csv(project / "artifacts" / "plots" / "sft_loss.csv")
    return history, load_file(project / "artifacts" / "sft" / "adapter" / "adapter_model.safetensors")


def test_two_workers_one_lost_on_the_way_learn_what_one_process_does(project):
    params = SftParams(**SMALL, batch_size=2)
    write_json(project / "params.json", params.model_dump())
    process = subprocess.Popen(launch_command("medllm_nb.sft", TWO, project / "params.json"), cwd=project,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.time() + 300
    while not list((project / "artifacts" / ".cache" / "sft").glob("*/checkpoint-4/trainer_state.json")):
        assert process.poll() is None and time.time() < deadline, "no checkpoint"
        time.sleep(0.02)
    workers = [p for p in psutil.Process(process.pid).children(recursive=True) if p.environ().get("RANK") == "1"]
    os.kill(workers[0].pid, signal.SIGKILL)
    assert process.wait(timeout=120) != 0
    assert not (project / "artifacts" / "sft").exists(), "a broken run left an output"

    metrics = start_sft(params, project)
    assert metrics["resumed"] == 1 and metrics["steps"] == 12
    assert json.loads((project / "artifacts" / "sft" / "training.json").read_text())["processes"] == 2
    history, adapter = result_of(project)
    run_sft(SftParams(**SMALL, batch_size=4), project)
    alone, expected = result_of(project)
    for split in ("train", "validation"):
        np.testing.assert_allclose(history[history.split == split].loss, alone[alone.split == split].loss, rtol=1e-3)
    assert adapter.keys() == expected.keys()
    for name in expected: torch.testing.assert_close(adapter[name], expected[name], rtol=1e-2, atol=1e-4)
