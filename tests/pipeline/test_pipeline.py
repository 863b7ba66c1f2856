"The whole pipeline on the ci profile in a copy of the repository: every stage, a second run, no patient downstream."

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import KEY, copy_repo

from medllm_nb.core import (
    DeidReport,
    Example,
    GoldReport,
    Report,
    apply_profile,
    load_key,
    read_records,
    write_fingerprint,
)
from medllm_nb.instruct.quality import COMPUTED

BIN = Path(sys.executable).parent


def dvc(*args, cwd):
    env = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    env.pop(
        "MEDLLM_KEY", None
    )  # the key file alone, as `make` has it: a notebook that sets a key of its own is found out
    done = subprocess.run([BIN / "dvc", *args], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"dvc {' '.join(args)}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    "A fresh checkout in which the pipeline has run once on the ci profile."
    root = copy_repo(tmp_path_factory.mktemp("project"))
    (root / ".secrets").mkdir()
    (root / ".secrets" / "key").write_text(KEY)
    write_fingerprint(root)
    dvc("pull", "--quiet", "data.dvc", cwd=root)
    apply_profile("ci", root)
    dvc("repro", cwd=root)
    return root


def metrics(project, stage):
    return json.loads((project / "artifacts" / "metrics" / f"{stage}.json").read_text())


def records(project, path, cls, key=None):
    return read_records(project / "artifacts" / path, cls, key)


def test_every_stage_leaves_its_numbers(project):
    assert metrics(project, "ingest")["reports"] > 20
    assert metrics(project, "deidentify")["recall"] > 0.9
    scores = metrics(project, "evaluate")
    assert scores["models"] == ["base", "sft", "grpo"] and "grpo - sft" in scores["change"]
    for name in scores["models"]:
        assert {"perplexity", "rougeL", "bleu", "lab_f1", "diagnosis_accuracy"} <= set(scores[name])
    assert scores["base"]["perplexity"] != scores["sft"]["perplexity"], "the adapter changes nothing"


def test_executed_notebooks_ran_on_params_yaml(project):
    "A lost parameters tag would run a stage on its defaults without a word."
    executed = json.loads((project / "reports" / "nbs" / "sft.ipynb").read_text())
    injected = [c for c in executed["cells"] if "injected-parameters" in c["metadata"].get("tags", [])]
    assert len(injected) == 1 and "max_steps" in "".join(injected[0]["source"])
    assert metrics(project, "sft")["steps"] == 6


def test_unsloth_comes_before_what_it_patches(project):
    "Imported after transformers or peft it warns that a run is slower and may take more memory."
    for path in (project / "reports" / "nbs").glob("*.ipynb"):
        assert "should be imported before" not in path.read_text(), path.name


def test_second_run_has_nothing_to_do(project):
    assert "up to date" in dvc("repro", cwd=project)


def test_learning_rate_reruns_sft_and_evaluate_alone(project):
    path = project / "params.yaml"
    before = path.read_text()
    path.write_text(re.sub(r"learning_rate: [0-9.e-]+", "learning_rate: 0.0001", before, count=1))  # the first is sft's
    try:
        planned = re.findall(r"Running stage '(\w+)'", dvc("repro", "--dry", cwd=project))
    finally:
        path.write_text(before)
    assert planned == ["sft"]  # a dry run cannot know that the adapter will differ
    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    assert [
        name for name, stage in stages.items() if {"artifacts/sft", "artifacts/${export.stage}"} & set(stage["deps"])
    ] == ["grpo", "evaluate", "memorization", "privacy", "export"]


def test_another_key_reruns_what_depends_on_it(project, monkeypatch):
    "Or DVC would bring back from its run cache what the old key wrote."
    monkeypatch.setenv("MEDLLM_KEY", "another key of more than thirty-two characters")
    mark = write_fingerprint(project)
    try:
        planned = re.findall(r"Running stage '(\w+)'", dvc("repro", "--dry", cwd=project))
    finally:
        monkeypatch.undo()
        write_fingerprint(project)
    assert {"ingest", "deidentify", "structure", "privacy"} <= set(planned) and "model" not in planned
    assert KEY not in mark.read_text()


def test_no_patient_crosses_the_splits(project):
    patients = [
        {e.patient_key for e in records(project, f"split/{s}", Example)} for s in ("train", "validation", "test")
    ]
    assert all(patients) and not (patients[0] & patients[1] | patients[0] & patients[2] | patients[1] & patients[2])


def test_no_answer_stands_in_its_prompt(project):
    for e in records(project, "instruct/examples", Example):
        if e.task in COMPUTED:
            continue  # derived from what the prompt shows, which is the task
        prompt = " ".join(m.content for m in e.prompt)
        answer = e.completion[0].content
        assert answer not in prompt
        if e.task in ("diagnosis", "conversation"):
            assert answer.splitlines()[-1].removeprefix("Diagnosis: ") not in prompt


def test_no_patient_is_named_downstream(project):
    "Numbers, mails and phones of the gold labels, searched for in all that the stages after de-identification wrote."
    key = load_key("phi-at-rest")
    gold = {g.report_id: g for g in read_records(project / "data" / "gold", GoldReport)}
    ingested = {r.report_id for r in records(project, "ingest/reports", Report, key)}
    left, total = [], 0
    for r in records(project, "deidentify/reports", DeidReport):
        for span in gold[r.report_id].phi if r.report_id in gold else []:
            value = gold[r.report_id].text[span.start : span.end]
            if span.entity not in ("MEDICAL_RECORD_NUMBER", "EMAIL_ADDRESS", "PHONE_NUMBER"):
                continue
            total += 1
            if value in r.text:
                left.append((r.report_id, span.entity))
    assert total and len(left) <= 0.02 * total, (
        left
    )  # a photograph's damaged label can hide a number: the whole sample has one such in 400
    secrets = {
        gold[i].text[s.start : s.end]
        for i in ingested & set(gold)
        for s in gold[i].phi
        if s.entity in ("MEDICAL_RECORD_NUMBER", "EMAIL_ADDRESS")
    }
    for path in (project / "reports" / "nbs").glob("*.ipynb"):
        text = path.read_text()
        found = sum(
            bool(re.search(rf"(?<!\w){re.escape(v)}(?!\w)", text)) for v in secrets
        )  # whole: a widget's hexadecimal name may hold six digits by chance
        assert not found, f"{path.name} shows {found} identifiers"


def test_phi_is_encrypted_at_rest(project):
    shards = [
        p
        for p in (project / "artifacts").rglob("*")
        if p.is_file() and p.relative_to(project / "artifacts").parts[0] == "ingest"
    ]
    assert shards
    gold = read_records(project / "data" / "gold", GoldReport)
    names = {
        g.text[s.start : s.end].encode() for g in gold for s in g.phi if s.entity == "PERSON" and s.end - s.start > 8
    }
    for path in shards:
        assert not any(n in path.read_bytes() for n in names)
