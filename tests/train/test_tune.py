"The search: several processes share one study, a bad trial is cut short, and what was found reaches the training."

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT, varied

from medllm_nb.model.base_model import load_model
from medllm_nb.train.sft import run_sft
from medllm_nb.train.trainer import SftParams
from medllm_nb.train.search import TuneParams, open_study, run_trial, run_trials
from medllm_nb.train.tune import run_tune

FIXED = {"max_steps": 4, "eval_steps": 2, "eval_examples": 4, "max_length": 256}
WORKER = """
import json, math, os, sys, time
from pathlib import Path
from medllm_nb.train.search import TuneParams, open_study, run_trials, suggest
params = TuneParams(**json.loads(sys.argv[1]))
def valley(trial):
    trial.set_user_attr("process", os.getpid())
    time.sleep(0.2)
    return (math.log10(suggest(trial, params).learning_rate) + 3) ** 2
folder, study = Path(sys.argv[2]), open_study(params, "shared", Path(sys.argv[2]))
(folder / f"ready-{os.getpid()}").touch()
while len(list(folder.glob("ready-*"))) < 2:  # neither begins before both can
    time.sleep(0.02)
run_trials(study, params, valley)
"""


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_two_processes_share_one_study(tmp_path, database, request):
    url = f"sqlite:///{tmp_path / 'shared.db'}" if database == "sqlite" else request.getfixturevalue("postgres")
    params = TuneParams(n_trials=30, storage=url, learning_rate=(1e-5, 1e-1))
    open_study(params, "shared", tmp_path)
    command = [sys.executable, "-c", WORKER, params.model_dump_json(), str(tmp_path)]
    workers = [
        subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=900)
        assert worker.returncode == 0, errors[-2000:]
    study = open_study(params, "shared", tmp_path)
    share = [sum(t.user_attrs["process"] == w.pid for t in study.trials) for w in workers]
    assert len(study.trials) in (30, 31) and min(share) >= 1, share
    assert 1e-4 < study.best_params["learning_rate"] < 1e-2


def test_a_trial_that_learns_nothing_is_cut_short(project, tiny_model):
    import optuna

    params = TuneParams(
        n_trials=2,
        learning_rate=(1e-9, 1e-1),
        lora_r=[8],
        per_device_train_batch_size=[4],
        n_startup_trials=1,
        fixed=FIXED,
    )
    study = open_study(params, "prune", project)
    given = {"lora_r": 8, "per_device_train_batch_size": 4, "num_train_epochs": 1.0, "lora_dropout": 0.0}
    for rate in (2e-2, 1e-9):
        study.enqueue_trial(given | {"learning_rate": rate})
    run_trials(
        study, params, lambda trial: run_trial(trial, params, varied(8), varied(8), lambda: load_model(str(tiny_model)))
    )
    good, bad = study.trials
    assert good.state == optuna.trial.TrialState.COMPLETE and bad.state == optuna.trial.TrialState.PRUNED
    assert max(bad.intermediate_values) < 4


def test_what_was_found_is_what_is_trained_with(project):
    best = run_tune(TuneParams(n_trials=1, lora_r=[4], per_device_train_batch_size=[2], fixed=FIXED), project)
    assert (
        run_tune(TuneParams(n_trials=1, lora_r=[4], per_device_train_batch_size=[2], fixed=FIXED), project) == best
    )  # nothing is tried twice
    run_sft(SftParams(**FIXED, tuned=True, probe=False), project)
    used = json.loads((project / "artifacts" / "sft" / "training.json").read_text())["params"]
    assert {k: used[k] for k in best} == best and used["lora_r"] == 4 and used["lora_alpha"] == 8
