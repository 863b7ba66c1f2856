"The feedback loop, for real: sign in, submit, override, review, retrain, promote, and the new version answers."

import os
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from medllm_nb.core import Example, StructuredReport, read_records, write_records
from medllm_nb.operate.clinical_day import PASSWORD, service, sign_in_headers
from medllm_nb.operate.corrections import RetrainParams
from medllm_nb.operate.retrain import run_feedback, run_propose
from medllm_nb.release.registry import current, load_version, promote, read_run, rollback
from medllm_nb.sample.corpus import make_corpus
from medllm_nb.serve.backends import LocalModel

pytestmark = pytest.mark.slow

# The middle of the pipeline, each stage as its notebook calls it. It runs in a process of its own, since Unsloth
# patches what it imports, and once for every line of its input, since its imports take longer than a round.
PIPELINE = """
import sys, yaml
from pathlib import Path
from medllm_nb.instruct.instructions import InstructParams
from medllm_nb.instruct.instruct import run_instruct
from medllm_nb.instruct.assignment import SplitParams
from medllm_nb.instruct.split import run_split
from medllm_nb.train.trainer import SftParams
from medllm_nb.train.sft import run_sft
from medllm_nb.evaluate.evaluate import run_evaluate
from medllm_nb.evaluate.models import EvaluateParams
from medllm_nb.model.model import ModelParams, run_model
root = Path(sys.argv[1])
run_model(ModelParams(name=sys.argv[2]), root)
for line in sys.stdin:
    run_instruct(InstructParams(**yaml.safe_load((root / "params.yaml").read_text())["instruct"]), root)
    run_split(SplitParams(), root)
    run_sft(SftParams(max_steps=3, eval_steps=3, per_device_train_batch_size=2, lora_r=4, eval_examples=2), root)
    run_evaluate(EvaluateParams(models=["sft"], max_per_task=2, max_new_tokens=4), root)
    print("@done", flush=True)
"""


class Pipeline:
    "The pipeline's process: a round is one run of its stages."

    def __init__(self, root, base):
        self.log = open(root / "pipeline.log", "w+")
        self.process = subprocess.Popen(
            [sys.executable, "-c", PIPELINE, str(root), str(base)],
            cwd=root,
            env=os.environ | {"PYTHONWARNINGS": "ignore", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def round(self):
        self.process.stdin.write("again\n")
        self.process.stdin.flush()
        if not any("@done" in line for line in self.process.stdout):
            self.log.seek(0)
            raise AssertionError(self.log.read()[-3000:])

    def close(self):
        self.process.kill()
        self.process.communicate()
        self.log.close()


@pytest.fixture
def pipeline(tmp_path, tiny_model):
    running = Pipeline(tmp_path, tiny_model)
    yield running
    running.close()


@pytest.fixture
def project(tmp_path, pipeline):
    "Twelve patients' reports, a base of two layers, and a first version that serves."
    (tmp_path / "params.yaml").write_text(
        'instruct:\n  # what clinicians corrected\n  feedback: ""\n  tasks: {abnormal_labs: 1, recommendations: 1}\n'
    )
    reports = [
        StructuredReport(
            report_id=f"{i:016x}",
            patient_key=g.patient_id,
            format="txt",
            specialty=g.specialty,
            text=g.text,
            sections=g.sections,
            labs=g.labs,
        )
        for i, g in enumerate(make_corpus(seed=5, patients=12, reports=1))
    ]
    write_records(tmp_path / "artifacts/structure/reports", reports, StructuredReport)
    pipeline.round()
    assert run_propose(RetrainParams(), tmp_path)["candidate"] == "v1"
    promote(tmp_path, "v1", "admin", "the first")
    return tmp_path


LETTER = """Patient: O'QUIGGLEY, Margaret   MRN: 00451234   DOB: 03/14/1950
HISTORY: Mrs. O'Quiggley has had palpitations since March 3, 2024.
LABORATORY: Potassium 6.9 mmol/L (3.5-5.1), Creatinine 2.1 mg/dL (0.6-1.3)
FINDINGS: ECG with peaked T waves."""
RIGHT = "Potassium 6.9 mmol/L (reference 3.5-5.1): high\nCreatinine 2.1 mg/dL (reference 0.6-1.3): high"


def test_a_correction_becomes_a_new_version_that_serves(project, pipeline, tmp_path_factory):
    users = {"ada": ["clinician"], "rita": ["reviewer"], "root": ["admin"]}
    serving = lambda: [LocalModel(*load_version(project, current(project)), current(project))]
    before = {
        e.example_id: side
        for side in ("validation", "test")
        for e in read_records(project / "artifacts/split" / side, Example)
    }
    with service(tmp_path_factory.mktemp("store"), serving, users, max_new_tokens=8) as (client, db):
        ada, rita, root = (sign_in_headers(client, name, PASSWORD) for name in users)
        ask = lambda: (
            client.post("/v1/tasks/abnormal_labs", json={"text": LETTER}, headers=ada).raise_for_status().json()
        )
        reload = lambda: client.post("/v1/models/reload", headers=root).raise_for_status().json()["model_version"]
        answer = ask()
        assert answer["model_version"] == "v1"
        overridden = {
            "action": "override",
            "text": RIGHT + "\nMrs. O'Quiggley, MRN 00451234, must be called.",
            "reason": "misses the potassium",
        }
        client.post(f"/v1/answers/{answer['id']}/feedback", json=overridden, headers=ada).raise_for_status()

        # unreviewed, an override teaches nothing; with the reviewer's word it does
        assert run_feedback(RetrainParams(min_examples=1), project, db)["enough"] == 0
        assert yaml.safe_load((project / "params.yaml").read_text())["instruct"]["feedback"] == ""
        client.post(
            f"/v1/answers/{answer['id']}/ratings",
            headers=rita,
            json=dict(correct=1, complete=1, harmful=3, style=3, verdict="uphold", text=RIGHT, comment=""),
        ).raise_for_status()
        assert run_feedback(RetrainParams(min_examples=1), project, db)["by reviewer"] == 1

        pipeline.round()
        train = read_records(project / "artifacts/split/train", Example)
        assert [e.task for e in train if e.completion[0].content == RIGHT] == ["abnormal_labs"]
        assert {
            e.example_id: side
            for side in ("validation", "test")
            for e in read_records(project / "artifacts/split" / side, Example)
        } == before, "the test split moved"
        written = "".join(
            p.read_text() for p in (project / "artifacts").rglob("*") if p.suffix in (".jsonl", ".json", ".md", ".csv")
        )
        assert "Quiggley" not in written and "00451234" not in written, "a patient's data in an artifact"

        proposal = run_propose(RetrainParams(), project)
        assert (proposal["candidate"], proposal["serves"]) == ("v2", "v1") and proposal["reasons"]
        assert read_run(project, "v2")["feedback"]["by reviewer"] == 1 and read_run(project, "v2")["parent"] == "v1"
        assert reload() == "v1", "a candidate serves only when a person says so"
        promote(project, "v2", "root", "read and agreed")
        assert reload() == "v2" and ask()["model_version"] == "v2"
        rollback(project, "root", "second thoughts")
        assert reload() == "v1" and ask()["model_version"] == "v1"
        assert client.get("/v1/audit/check", headers=root).json()["whole"]
