"The leak audit finds an identifier wherever it was planted, and lets a clean run pass."
import json

import pytest
from conftest import KEY

from medllm_nb.core import DeidReport, Example, Message, Report, load_key, write_records
from medllm_nb.deidentify import deidentify, find_phi, patient_key
from medllm_nb.metrics import Answer
from medllm_nb.privacy import LeakError, PrivacyParams, run_privacy

TEXT = """Patient: ROEBUCK, Marietta   MRN: 30-30-60-7   DOB: 03/14/1950
HISTORY: Mrs. Roebuck is tired. Call (415) 555-0124. Has Graves disease.
IMPRESSION: Thyrotoxicosis."""


@pytest.fixture
def run(tmp_path, monkeypatch):
    "A finished run of one report, clean."
    monkeypatch.setenv("MEDLLM_KEY", KEY)
    (tmp_path / "params.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    report = Report(report_id="r1", patient_id="p1", source="x.txt", format="txt", text=TEXT)
    clean = deidentify(report, find_phi([TEXT])[0])
    patient = patient_key(load_key("surrogates"), "p1")
    example = Example(example_id="e1", report_id="r1", patient_key=patient, specialty="other", task="summary",
                      prompt=[Message(role="user", content=clean.text)], completion=[Message(role="assistant", content="Thyrotoxicosis.")])
    write_records(tmp_path / "artifacts/ingest/reports", [report], Report, load_key("phi-at-rest"))
    write_records(tmp_path / "artifacts/deidentify/reports", [clean], DeidReport)
    write_records(tmp_path / "artifacts/instruct/examples", [example], Example)
    answer(tmp_path, "The patient has Graves disease.")
    (tmp_path / "reports" / "nbs").mkdir(parents=True)
    notebook(tmp_path, "1 report")
    return tmp_path


def answer(root, text):
    write_records(root / "artifacts/evaluate/answers", [Answer(example_id="e1", task="summary", model="sft", text=text, reference="-", nll=1.0, tokens=1)], Answer)


def notebook(root, text):
    (root / "reports/nbs/02_ingest.ipynb").write_text(json.dumps({"cells": [{"source": ["run()"], "outputs": [{"text": [text]}]}]}))


def leaks(root):
    return json.loads((root / "artifacts/metrics/privacy.json").read_text())["leaks"]


def test_a_clean_run_passes(run):
    assert run_privacy(PrivacyParams(workers=1), run)["identifiers"] >= 3
    assert leaks(run) == 0


@pytest.mark.parametrize("text", ["Seen: Marietta Roebuck", "roebuck, marietta", "M. Roebuck", "number 3030607", "4155550124"])
def test_an_identifier_in_a_models_answer_fails_the_pipeline(run, text):
    answer(run, text)
    with pytest.raises(LeakError, match="in evaluate") as caught: run_privacy(PrivacyParams(workers=1), run)
    assert leaks(run) > 0
    assert "oebuck" not in str(caught.value).lower() and "3030607" not in str(caught.value), "the error itself would leak"


def test_an_identifier_in_a_notebooks_output_fails_the_pipeline(run):
    notebook(run, "could not read Marietta Roebuck.pdf")
    with pytest.raises(LeakError, match="PERSON in reports/nbs/02_ingest.ipynb"): run_privacy(PrivacyParams(workers=1), run)


def test_an_identifier_in_a_table_fails_the_pipeline(run):
    (run / "artifacts/plots").mkdir()
    (run / "artifacts/plots/ingest.csv").write_text("file,pages\n30-30-60-7.pdf,2\n")
    with pytest.raises(LeakError, match="MEDICAL_RECORD_NUMBER in artifacts/plots/ingest.csv"): run_privacy(PrivacyParams(workers=1), run)
