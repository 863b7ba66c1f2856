"The gate as a stage: the verdict in artifacts/metrics/gate.json, and the stop."

import json

import numpy as np
import pandas as pd
import pytest

from medllm_nb.evaluate.metrics import contribution_table
from medllm_nb.release.gate import GateParams, run_gate
from medllm_nb.release.regression_gate import VERDICT_LISTS, WorseModel, accept, read_accepted

IDS = [f"e{i}" for i in range(60)]
TABLE = pd.DataFrame({"example_id": IDS, "patient_key": [f"p{i // 2}" for i in range(60)]})


def evaluate(root, right):
    "What the evaluate stage leaves of a base that is always wrong and of a model that is right where `right` says."
    rows = lambda of: {"diagnosis_accuracy": {e: np.array([of(i), 1.0]) for i, e in enumerate(IDS)}}
    folder = root / "artifacts" / "evaluate"
    folder.mkdir(parents=True, exist_ok=True)
    contribution_table({"base": rows(lambda i: 0), "sft": rows(right)}).to_parquet(folder / "contributions.parquet")
    TABLE.to_parquet(folder / "examples.parquet")


def written(root):
    return json.loads((root / "artifacts" / "metrics" / "gate.json").read_text())


@pytest.fixture
def project(tmp_path):
    evaluate(tmp_path, lambda i: i % 5 > 0)
    return tmp_path


def test_nothing_accepted_yet(project):
    assert run_gate(GateParams(), project)["verdict"] == "nothing accepted"
    assert written(project)["model"] == "sft" and "medllm accept sft" in written(project)["summary"]


def test_the_verdict_is_written_without_its_rows(project):
    accept(root=project)
    evaluate(project, lambda i: i % 5 == 0)
    verdict = run_gate(GateParams(), project)
    assert verdict["rows"] and set(written(project)) == {"verdict", "summary", "model", "change", *VERDICT_LISTS}
    assert written(project)["verdict"] == "worse" and written(project)["worse"] == ["diagnosis_accuracy"]
    assert written(project)["change"]["diagnosis_accuracy"] == pytest.approx(-0.6)


def test_a_worse_model_stops_the_pipeline_where_it_shall(project):
    accept(root=project)
    evaluate(project, lambda i: i % 5 == 0)
    with pytest.raises(WorseModel, match="WORSE"):
        run_gate(GateParams(stop=True), project)
    assert written(project)["verdict"] == "worse", "the verdict is written before the stop"


def test_another_model_than_the_last_can_be_judged(project):
    accept(root=project)
    assert run_gate(GateParams(model="base"), project)["verdict"] == "worse"
    assert run_gate(GateParams(), project)["verdict"] == "not worse"
    with pytest.raises(ValueError, match="was not evaluated; there are base, sft"):
        run_gate(GateParams(model="gpt"), project)


def test_a_damaged_file_says_how_to_get_it_back(project):
    (project / "accepted.json").write_text("{")
    with pytest.raises(ValueError, match="git checkout accepted.json"):
        read_accepted(project)


def test_without_an_evaluation_the_stage_to_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="dvc repro evaluate"):
        run_gate(GateParams(), tmp_path)
