"Training survives SIGKILL: from its last whole checkpoint it sees the batches, and ends with the bits, it would have."

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from conftest import varied

from medllm_nb.core import Example, write_records
from medllm_nb.model.model import ModelParams, run_model

PARAMS = dict(
    max_steps=24,
    eval_steps=4,
    per_device_train_batch_size=2,
    max_length=256,
    eval_examples=4,
    early_stopping_patience=99,
    lora_dropout=0.1,
)
RUN = """
import json, sys
from medllm_nb.train.trainer import SftParams
from medllm_nb.train.sft import run_sft
run_sft(SftParams(**json.loads(sys.argv[2])), sys.argv[1])
"""


@pytest.fixture
def project(tmp_path, tiny_model):
    (tmp_path / "params.yaml").write_text("{}\n")
    for split in ("train", "validation"):
        write_records(tmp_path / "artifacts" / "split" / split, varied(14), Example)
    run_model(ModelParams(name=str(tiny_model)), tmp_path)
    return tmp_path


def start(project):
    env = os.environ | {"PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(project), json.dumps(PARAMS)],
        cwd=project,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_killed_run_resumes_sees_the_same_batches_and_ends_bit_for_bit_the_same(project):
    process, work = start(project), project / "artifacts" / ".cache" / "sft"
    deadline = time.time() + 900
    while not list(work.glob("*/checkpoint-8/trainer_state.json")):
        assert process.poll() is None, process.stderr.read()[-2000:]
        assert time.time() < deadline, "no checkpoint"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (project / "artifacts" / "sft").exists(), "a killed run left an output"

    again = start(project)
    _, errors = again.communicate(timeout=900)
    assert again.returncode == 0, errors[-2000:]
    metrics = json.loads((project / "artifacts" / "metrics" / "sft.json").read_text())
    assert metrics["resumed"] == 1 and metrics["steps"] == PARAMS["max_steps"]
    history = pd.read_csv(project / "artifacts" / "plots" / "sft_loss.csv")
    assert list(history[history.split == "validation"].step.unique()) == list(range(0, 25, 4)), (
        "the curve has a gap or a step twice"
    )
    assert (project / "artifacts" / "sft" / "adapter" / "adapter_model.safetensors").exists()
    assert not list(work.glob("*/checkpoint-*")), "checkpoints of a finished run stay behind"

    curve, adapter = (
        history[history.split == "train"].reset_index(drop=True),
        (project / "artifacts" / "sft" / "adapter" / "adapter_model.safetensors").read_bytes(),
    )
    shutil.rmtree(project / "artifacts" / "sft")
    whole = start(project)
    _, errors = whole.communicate(timeout=900)
    assert whole.returncode == 0, errors[-2000:]
    history = pd.read_csv(project / "artifacts" / "plots" / "sft_loss.csv")
    pd.testing.assert_frame_equal(
        history[history.split == "train"].reset_index(drop=True), curve
    )  # a loss a step: the same batches in the same order
    assert (project / "artifacts" / "sft" / "adapter" / "adapter_model.safetensors").read_bytes() == adapter
