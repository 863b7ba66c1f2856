"HL7 v2 and FHIR: the documents inside messages, and what a message loses."

import base64

import pytest


from made_files import (
    NAME,
    OBX,
    PATIENT,
    TEXT,
    bundle,
    document,
    fhir,
    form,
    hl7,
    pdf,
    report,
    reports_of,
    texts,
)


def test_a_fhir_document_brings_its_patient_and_each_attachment(tmp_path):
    first, second = document(form(pdf())), document(form(TEXT.encode(), "text/plain; charset=utf-8"), form(pdf()))
    letters, _ = reports_of(tmp_path, "letters.json", fhir(PATIENT, first, second))
    assert [r.pages for r in letters] == [2, 3] and [r.text.count("pneumonia") for r in letters] == [1, 2]
    header = [f"Patient: {NAME}, Ana", "MRN: 00451234", "DOB: 1950-03-14", "Study: Letter"]
    assert all(letter.text.splitlines()[:4] == header for letter in letters)


DAMAGED = {
    "a.json": (fhir(report(conclusion=TEXT, presentedForm=[form(b"%PDF-1.7 cut")])), "broken PDF"),
    "a.hl7": (hl7(OBX, "OBX|2|ED|PDF^Report||^application^pdf^Base64^!!!||||||F"), "broken base64"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_document_leaves_its_message(name, tmp_path):
    content, kind = DAMAGED[name]
    (message,), (problem,) = reports_of(tmp_path, name, content)
    assert "pneumonia" in message.text and problem.kind == kind


def test_a_bundles_panels_and_linked_documents_are_read():
    code = lambda text: {"status": "final", "code": {"text": text}}
    panel = {
        "resourceType": "Observation",
        "id": "o1",
        **code("BMP"),
        "hasMember": [{"reference": "Observation/o2"}, {"reference": "Observation/o1"}],
    }
    potassium = {
        "resourceType": "Observation",
        "id": "o2",
        **code("Potassium"),
        "valueQuantity": {"value": 5.9, "unit": "mmol/L"},
    }
    report = {
        "resourceType": "DiagnosticReport",
        "id": "r",
        **code("Labs"),
        "result": [{"reference": "Observation/o1"}],
    }
    found, problems = texts(bundle(report, panel, potassium), "a.json")
    assert "Potassium 5.9 mmol/L" in found[0] and not problems
    note = {
        "resourceType": "DocumentReference",
        "id": "d",
        "status": "current",
        "content": [{"attachment": {"url": "Binary/b"}}, {"attachment": {"url": "Binary/elsewhere"}}],
    }
    page = {
        "resourceType": "Binary",
        "id": "b",
        "contentType": "application/xhtml+xml",
        "data": base64.b64encode(f"<div><p>{TEXT}</p></div>".encode()).decode(),
    }
    found, problems = texts(bundle(note, page), "a.json")
    assert "Right lower lobe" in found[-1] and [p.kind for p in problems] == ["attachment elsewhere"]


@pytest.mark.parametrize(
    "form",
    [
        "^TEXT^plain^Base64^" + base64.b64encode(b"The spleen is normal.").decode(),
        "^TEXT^TXT^Hex^" + b"The spleen is normal.".hex(),
        "^TEXT^TXT^A^The spleen is normal.",
    ],
    ids=["base64", "hex", "as it is"],
)
def test_documents_in_hl7_are_read_in_every_encoding(form):
    message = f"MSH|^~\\&|LAB|H|||20240314||ORU^R01|1|P|2.5\rOBR|1|||71020^CT\rOBX|1|ED|x^Doc||{form}\r"
    assert texts(message.encode(), "a.hl7")[0][-1] == "The spleen is normal."
