"The leak audit finds an identifier wherever it was planted and however it was written, and lets a clean run pass."

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from medllm_nb.core import EngineParams, DeidReport, Example, Message, Report, Span, encrypt, load_key, write_records
from medllm_nb.deidentify import DeidentifyParams, deidentify, find_phi, find_together, patient_key
from medllm_nb.deidentify.identifiers import Identifier, fold_for_search
from medllm_nb.evaluate.metrics import Answer
from medllm_nb.privacy.leak_audit import find_leaks
from medllm_nb.privacy import (
    LeakError,
    SearchUnit,
    find_matches,
    index_patient,
    is_leak,
    parts,
    run_privacy,
    variants,
)

TEXTS = {
    "p1": """Patient: ROEBUCK, Marietta   MRN: 30-30-60-7   DOB: 03/14/1950
HISTORY: Mrs. Roebuck is tired. Call (415) 555-0124. Has Graves disease.
IMPRESSION: Thyrotoxicosis.""",
    "p2": """Patient: Margaret A. O'Connell   MRN: 71-22-84-9   DOB: 11/02/1961
HISTORY: Mrs. O'Connell coughs. BP 120/80.
IMPRESSION: Pneumonia.""",
    "p3": """Patient: WHITE, Anna   MRN: 55-91-26-3   DOB: 06/30/1972
HISTORY: Ms. White has a white lesion on the tongue.
IMPRESSION: Leukoplakia.""",
    "p4": """Patient: Amy Ng   MRN: 4471993   DOB: 05/09/1929
Address: 1420 Birchwood Lane, Springfield, IL 62704
Date of service: 03/14/2024
HISTORY: Mrs. Ng is 94 years old and tired. Platelets 162 on 03/14/2024.
IMPRESSION: Anaemia.""",
    "p5": """Patient: Beatrice Tulloch-Farquhar   MRN: 60-18-42-7   DOB: 07/21/1980
HISTORY: Mrs. Tulloch-Farquhar has a rash.
IMPRESSION: Eczema.""",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    "A finished run of five patients' reports, clean, and its detection in the cache."
    root = tmp_path_factory.mktemp("run")
    (root / "params.yaml").write_text("")
    reports = [
        Report(report_id=f"r{p[1]}", patient_id=p, source="x.txt", format="txt", text=text) for p, text in TEXTS.items()
    ]
    clean = [deidentify(report, spans) for report, spans in zip(reports, find_phi(list(TEXTS.values())))]
    write_records(root / "artifacts/ingest/reports", reports, Report, load_key("phi-at-rest"))
    write_records(root / "artifacts/deidentify/reports", clean, DeidReport)
    write_records(root / "artifacts/instruct/examples", [example(p, r.text) for p, r in zip(TEXTS, clean)], Example)
    answer(root, "The patient has Graves disease.")
    notebook(root, "1 report")
    audit(root)
    shutil.rmtree(root / "artifacts/metrics")
    return root


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    "A copy of that run to plant something in."
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(patient, text):
    return Example(
        example_id=f"e{patient[1]}",
        report_id=f"r{patient[1]}",
        patient_key=patient_key(load_key("surrogates"), patient),
        specialty="other",
        task="summary",
        prompt=[Message(role="user", content=text)],
        completion=[Message(role="assistant", content="As the report says.")],
    )


def answer(root, text, patient="p1"):
    write_records(
        root / "artifacts/evaluate/answers",
        [Answer(example_id=f"e{patient[1]}", task="summary", model="sft", text=text, reference="-", nll=1.0, tokens=1)],
        Answer,
    )


def notebook(root, text):
    write(
        root / "reports/nbs/ingest.ipynb", json.dumps({"cells": [{"source": ["run()"], "outputs": [{"text": [text]}]}]})
    )


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def table(path, row):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([row]), path)


def weights(path, metadata):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"lora_A": np.zeros((1, 1), dtype=np.float32)}, path, metadata=metadata)


def audit(root, **params):
    return run_privacy(DeidentifyParams(**params), root, EngineParams(workers=1))


def leaks(root):
    return json.loads((root / "artifacts/metrics/privacy.json").read_text())["leaks"]


def test_a_clean_run_passes(run):
    result = audit(run)
    assert result["patients"] == 5 and result["identifiers"] >= 9 and result["texts_searched"] >= 8
    assert leaks(run) == 0


@pytest.mark.parametrize(
    "patient, text",
    [
        ("p1", "Seen: Marietta Roebuck"),
        ("p1", "roebuck, marietta"),
        ("p1", "M. Roebuck"),
        ("p1", "number 3030607"),
        ("p1", "4155550124"),
        ("p2", "Margaret O'Connell came"),
        ("p2", "O'CONNELL, MARGARET"),
        ("p2", "o’connell margaret"),
        ("p2", "M. O'Connell"),
        ("p2", "M O'Connell"),
        ("p2", "O'Connell M"),
        ("p2", "Margaret\nO'Connell"),
        ("p2", "Margaret B. O'Connell"),
        ("p2", "Mrs. O'Connell"),
        ("p2", "O'Connell, a man of 90"),
        ("p2", "the patient O'Connell"),
        ("p2", "Margaret Beatrice O'Connell"),
        ("p2", "Margaret, born Beatrice O'Connell"),
        ("p3", "A. White"),
        ("p3", "Anna White"),
        ("p3", "White,Anna"),
    ],
)
def test_an_identifier_in_a_models_answer_fails_the_pipeline(run, patient, text):
    answer(run, text, patient)
    with pytest.raises(LeakError, match="in artifacts/evaluate/answers") as caught:
        audit(run)
    assert leaks(run) > 0
    told = str(caught.value).lower()
    assert not any(secret in told for secret in ("oebuck", "connell", "white", "3030607")), (
        "the error itself would leak"
    )


@pytest.mark.parametrize(
    "patient, text",
    [
        ("p2", "OCONNELL was seen"),
        ("p2", "O Connell was seen"),
        ("p2", "M O Connell"),
        ("p2", "Margaret OConnell"),
        ("p2", "CONNELL, O'CONNELL"),
        ("p2", "seen by M. O'C. today"),
        ("p2", "(M.A.O.)"),
        ("p2", "M.O.: seen"),
        ("p2", "M.A. O'C."),
        ("p5", "Beatrice Tulloch"),
        ("p5", "Farquhar was seen"),
        ("p5", "Beatrice Tulloch Farquhar"),
        ("p5", "TULLOCHFARQUHAR, B"),
        ("p4", "Amy Ng"),
        ("p4", "Ng, Amy"),
        ("p4", "Mrs Ng is well"),
        ("p4", "Miss NG is well"),
        ("p3", "Told Ms. White so"),
        ("p4", "DR. NG"),
        ("p2", "Margaret was seen"),
        ("p2", "told MARGARET so"),
        ("p1", "and marietta is tired"),
        ("p4", "so Amy is tired"),
    ],
)
def test_a_part_of_a_name_in_the_patients_own_answer_fails_the_pipeline(run, patient, text):
    answer(run, text, patient)
    with pytest.raises(LeakError, match="in artifacts/evaluate/answers"):
        audit(run)


@pytest.mark.parametrize(
    "patient, text",
    [
        ("p2", "M.D. and P.O. and m.o. and O.M.A. and J.M.O. and M.O.D."),
        ("p4", "5 ng of it, an NG tube, Ng"),
        ("p4", "A.N.A. positive"),
        ("p3", "a White man, an Anna Smith"),
        ("p1", "Margaret was seen"),
        ("p2", "Margaret Smith"),
        ("p4", "in AMY"),
        ("p4", "RBC 4.94, 94 mg, 162 on 03/14, 6.2704, 62704.5, 1420 units"),
        ("p4", "14 March, in 2024; 20240315; 03/14/2023"),
        ("p2", "on 03/14/2024 aged 94"),
        ("p4", "T44719935 and a4471993f0c1"),
        ("p4", "MR NG, DR"),
        ("p4", "HR 14, 20 mg"),
    ],
)
def test_a_part_that_names_nobody_passes(run, patient, text):
    answer(run, text, patient)
    audit(run)
    assert leaks(run) == 0


@pytest.mark.parametrize(
    "text, kind",
    [
        ("MRN4471993", "NUMBER"),
        ("mrn:4471993", "NUMBER"),
        ("No4471993.", "NUMBER"),
        ("1420 Birchwood Ln", "ADDRESS"),
        ("IL62704", "ZIP_CODE"),
        ("in on March 12-14, 2024 and 13 March; March 14-16, 2024", "DATE_TIME"),
        ("1420 Birchwood Lane", "ADDRESS"),
        ("1420 BIRCHWOOD LANE, Apt. 3", "ADDRESS"),
        ("Springfield 62704", "ADDRESS"),
        ("Springfield, IL\n62704", "ADDRESS"),
        ("ZIP 62704", "ZIP_CODE"),
        ("seen 2024-03-14", "DATE_TIME"),
        ("seen 3/14/24", "DATE_TIME"),
        ("on March 14, 2024", "DATE_TIME"),
        ("on 14 Mar 2024", "DATE_TIME"),
        ("20240314", "DATE_TIME"),
        ("20240314083000", "DATE_TIME"),
        ("2024-03-14T08:30", "DATE_TIME"),
        ("14.03.2024-15.03.2024", "DATE_TIME"),
        ("born May 9th, 1929", "BIRTH_DATE"),
        ("a 94-year-old", "AGE"),
        ("94 y/o", "AGE"),
        ("aged 94", "AGE"),
        ("Age: 94", "AGE"),
        ("94 years old", "AGE"),
    ],
)
def test_numbers_addresses_days_and_ages_in_the_patients_own_answer_fail_the_pipeline(run, text, kind):
    answer(run, text, "p4")
    with pytest.raises(LeakError, match=kind):
        audit(run)


@pytest.mark.parametrize(
    "text", ["Amy Ng", "NG, AMY", "Ng,\nAmy", "Amy B. Ng", "MRN4471993", "1420 Birchwood Lane", "Springfield, IL 62704"]
)
@pytest.mark.parametrize("place", ["nobody's", "another's"])
def test_short_names_addresses_and_labelled_numbers_count_wherever_they_stand(run, text, place):
    if place == "nobody's":
        notebook(run, text)
    else:
        answer(run, text, "p1")
    with pytest.raises(LeakError):
        audit(run)


def test_what_could_be_another_patients_surrogate_or_a_common_word_passes_where_nobody_is_known(run):
    notebook(run, "Margaret and Mrs Ng, M.O., seen on 03/14/2024, 94 years old, 62704; 12 ng, amy")
    audit(run)
    assert leaks(run) == 0


def test_a_shifted_date_that_falls_on_another_true_one_passes_in_any_format(run):
    report = DeidReport(
        report_id="r4",
        patient_key=patient_key(load_key("surrogates"), "p4"),
        format="txt",
        specialty="other",
        text="Seen Mar 14, 2024.",
        ocr_confidence=[],
        replaced=[Span(start=5, end=17, entity="DATE_TIME", score=1.0, detector="")],
    )
    write_records(run / "artifacts/deidentify/reports", [report], DeidReport)
    answer(run, "seen on 2024-03-14", "p4")
    table(run / "artifacts/structure/rows.parquet", {"patient_key": report.patient_key, "day": "2024-03-14"})
    audit(run)
    assert leaks(run) == 0


def test_a_given_name_that_another_patients_surrogate_bears_is_not_told_from_it_in_an_answer(run):
    report = DeidReport(
        report_id="r1",
        patient_key=patient_key(load_key("surrogates"), "p1"),
        format="txt",
        specialty="other",
        text="Seen: Margaret Poe.",
        ocr_confidence=[],
        replaced=[Span(start=6, end=18, entity="PERSON", score=1.0, detector="")],
    )
    write_records(run / "artifacts/deidentify/reports", [report], DeidReport)
    answer(run, "Margaret was seen", "p2")
    audit(run)
    assert leaks(run) == 0
    table(
        run / "artifacts/structure/rows.parquet",
        {"report_id": "r2", "patient_key": patient_key(load_key("surrogates"), "p2"), "text": "Margaret was seen"},
    )
    with pytest.raises(LeakError, match="GIVEN_NAME in artifacts/structure"):
        audit(run)


@pytest.mark.parametrize(
    "text",
    [
        "born 03/14/1950",
        "born 3/14/50",
        "born 14.03.1950",
        "(1950-03-14)",
        "March 14, 1950",
        "on the 14th of March 1950",
        "14-MAR-1950",
        "id 19500314",
    ],
)
def test_a_birth_date_in_the_patients_own_answer_fails_the_pipeline(run, text):
    answer(run, text)
    with pytest.raises(LeakError, match="BIRTH_DATE"):
        audit(run)


@pytest.mark.parametrize(
    "patient, text",
    [
        ("p2", "seen on 03/14/1950"),
        ("p3", "a white lesion; sputum white, a cough"),
        ("p2", "BP 120/80, Mr. White"),
        ("p1", "the Graves family"),
        ("p2", "Alejandro O'Connell, a man of 90"),
        ("p2", "O'Connell, Alejandro"),
    ],
)
def test_what_names_nobody_passes(run, patient, text):
    answer(run, text, patient)
    audit(run)
    assert leaks(run) == 0


def test_a_model_that_recites_another_patient_fails_the_pipeline(run):
    for text in ("As in Margaret O'Connell's case.", "number 7122849"):
        answer(run, text, "p1")
        with pytest.raises(LeakError, match="in artifacts/evaluate/answers"):
            audit(run)


PLANTED = "Seen by Marietta Roebuck today"


def output(of):
    return json.dumps({"cells": [{"cell_type": "code", "outputs": [of]}]})


@pytest.mark.parametrize(
    "file, plant",
    [
        (
            "artifacts/split/train/part-00000.parquet",
            lambda p: write_records(p.parent, [example("p1", PLANTED)], Example),
        ),
        (
            "artifacts/grpo/samples/part-00000.parquet",
            lambda p: table(p, {"step": 1, "example_id": "e1", "text": PLANTED}),
        ),
        (
            "artifacts/review/items/part-00000.parquet",
            lambda p: table(p, {"code": "x", "example_id": "e2", "report": PLANTED}),
        ),
        (
            "artifacts/instruct/feedback_reports/part-00000.parquet",
            lambda p: table(p, {"patient_key": "of another hospital", "findings": [{"text": PLANTED}]}),
        ),
        ("artifacts/benchmarks/outcomes/part-00000.parquet", lambda p: table(p, {"said": [PLANTED]})),
        ("artifacts/evaluate/slips.parquet", lambda p: table(p, {"example_id": "e1", "said": 3030607})),
        ("artifacts/registry/log.jsonl", lambda p: write(p, json.dumps({"reason": PLANTED}) + "\n")),
        ("artifacts/tune/best.json", lambda p: write(p, json.dumps({"note": "Marietta\nRoebuck"}))),
        ("artifacts/plots/ingest.csv", lambda p: write(p, "file,pages\n30-30-60-7.pdf,2\n")),
        ("artifacts/review/review-A.html", lambda p: write(p, "<td><b>Marietta</b>&nbsp;Roebuck</td>")),
        ("artifacts/export/gguf/Modelfile", lambda p: write(p, f"SYSTEM {PLANTED}")),
        ("reports/papermill.log", lambda p: write(p, f"could not read {PLANTED}.pdf")),
        ("reports/nbs/ingest.ipynb", lambda p: notebook(p.parents[2], f"could not read {PLANTED}.pdf")),
        (
            "reports/nbs/deidentify.ipynb",
            lambda p: write(
                p,
                output(
                    {"output_type": "display_data", "data": {"image/svg+xml": [f"<svg><text>{PLANTED}</text></svg>"]}}
                ),
            ),
        ),
        (
            "reports/nbs/structure.ipynb",
            lambda p: write(
                p, output({"output_type": "error", "ename": "ValueError", "evalue": PLANTED, "traceback": []})
            ),
        ),
        (
            "reports/nbs/tune.ipynb",
            lambda p: write(p, json.dumps({"cells": [{"cell_type": "code", "source": [f"look_at('{PLANTED}')"]}]})),
        ),
        (
            "reports/nbs/sft.ipynb",
            lambda p: write(p, json.dumps({"cells": [{"cell_type": "markdown", "source": [PLANTED]}]})),
        ),
        ("artifacts/sft/adapter_model.safetensors", lambda p: weights(p, {"note": PLANTED})),
    ],
)
def test_an_identifier_in_any_file_fails_the_pipeline(run, file, plant):
    plant(run / file)
    with pytest.raises(LeakError, match=file):
        audit(run)


def test_an_identifier_in_a_files_name_fails_the_pipeline_and_is_not_told(run):
    write(run / "artifacts/plots/Marietta_Roebuck.csv", "pages\n2\n")
    with pytest.raises(LeakError, match="1 PERSON in artifacts/plots/...") as caught:
        audit(run)
    assert "oebuck" not in str(caught.value)


def test_a_short_name_in_a_files_name_fails_the_pipeline_in_any_case(run):
    write(run / "artifacts/plots/amy_ng.csv", "pages\n2\n")
    with pytest.raises(LeakError, match="1 PERSON in artifacts/plots/..."):
        audit(run)


@pytest.mark.parametrize(
    "text, found",
    [
        pytest.param("See MRN: 482913 of the same ward.", 1, id="record number"),
        pytest.param("another patient, #482913", 1, id="number sign"),
        pytest.param("Platelets 482913, stable.", 0, id="count"),
        pytest.param("CFU 482913/mL", 0, id="count with a unit"),
    ],
)
def test_six_digits_of_another_patient_are_a_leak_behind_a_label(text, found):
    known = {"k1": {Identifier("482913", "MEDICAL_RECORD_NUMBER")}, "k2": {Identifier("7122849", "ID")}}
    assert find_leaks([SearchUnit("answers", "k2", text)], known).total() == found


def test_weights_encrypted_tables_and_caches_are_left_out(run):
    (run / "artifacts/sft").mkdir()
    (run / "artifacts/sft/optimizer.bin").write_bytes(b"\0" + PLANTED.encode())
    (run / "artifacts/deidentify/reidentification").mkdir()
    (run / "artifacts/deidentify/reidentification/part-00000.parquet.enc").write_bytes(
        encrypt(PLANTED.encode(), load_key("re-identification"))
    )
    assert audit(run)["binary_files_left_out"] == 2


def test_it_searches_for_what_deidentify_finds_with_its_detectors(run):
    assert audit(run, detectors=["rules"])["identifiers"] < audit(run)["identifiers"]


@pytest.mark.parametrize(
    "sentence", ["The nurse phoned and spoke with {} about the cough.", "{} was seen again today with a cough."]
)
@pytest.mark.parametrize("name", ["Margaret A. O'Connell", "Ng, Amy", "García-Lopez, María José"])
def test_whatever_the_audit_searches_for_is_replaced_in_the_patients_other_reports(name, sentence):
    number, address = "71-22-84-9", "127 Juniper Lane Apt. 3, Halverton, NY 10999"
    header = (
        f"Patient: {name}   MRN: {number}   DOB: 03/14/1931\nAddress: {address}\nHISTORY: The patient is 94 years"
        f" old and coughs.\n"
    )
    whole = {
        Identifier(name, "PERSON"),
        Identifier(number, "MEDICAL_RECORD_NUMBER"),
        Identifier(address, "LOCATION"),
        Identifier("94", "AGE"),
    }
    known = whole | {part for value in whole for part in parts(value)}
    forms = sorted(
        form.upper()
        if k.entity == "INITIALS"
        else form.title()
        if k.entity not in ("AGE", "MEDICAL_RECORD_NUMBER")
        else form
        for k in known
        for form in variants(k.text, k.entity)
    )
    texts = [header] + [f"HISTORY: {sentence.format(form)}\nIMPRESSION: Bronchitis.\n" for form in forms]
    reports = [
        Report(report_id=f"r{i}", patient_id="p1", source="x.txt", format="txt", text=text)
        for i, text in enumerate(texts)
    ]
    together = find_together(reports, find_phi(texts))
    clean = [deidentify(report, spans, values, key=b"k" * 32) for report, (spans, values) in zip(reports, together)]
    own, left = index_patient(known), []
    for form, report in zip(["header", *forms], clean):
        passage = SearchUnit(
            "x", "p1", report.text, frozenset(fold_for_search(report.text[s.start : s.end]) for s in report.replaced)
        )
        if any(is_leak(hit, passage, own) for hit in find_matches(passage.text, own.machine)):
            left.append(form)
    assert len(forms) > 70 and left == []
