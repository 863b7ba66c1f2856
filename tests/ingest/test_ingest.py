"Bad files among good ones: each is set aside with its reason or read rightly, and everything else comes through."

import json

import pytest
from reportlab.lib.pdfencrypt import StandardEncryption

from medllm_nb.core import EngineParams, Report, load_key, read_records
from medllm_nb.ingest import (
    IngestParams,
    Quarantined,
    ReviewPage,
    run_ingest,
)

from made_files import (
    NAME,
    OBX,
    PATIENT,
    TEXT,
    dicom,
    fhir,
    hl7,
    pdf,
    png,
    report,
    scan,
    text_item,
    zipped,
)


BAD = {
    "truncated.pdf": (pdf()[:300], "broken PDF"),
    "empty.txt": (b"", "empty file"),
    "blank.txt": (b" \n\n ", "empty file"),
    "locked.pdf": (pdf(encrypt=StandardEncryption("secret", ownerPassword="owner")), "password-protected PDF"),
    "nothing.png": (png(0, 0), "broken image"),
    "bomb.png": (png(60000, 60000), "image too large"),
    "cut.tiff": (b"II*\x00\x08\x00", "broken image"),
    "liar.jpg": (b"this is no image at all", "broken image"),
    "wrong.csv": (b"colour,size\nred,2\n", "wrong header"),
    "broken.json": (b'{"text": "Impression', "broken JSON"),
    "list.json": (b"[1, 2]", "wrong header"),
    "program.exe": (b"MZ\x90\x00\x03" + bytes(200), "unknown format"),
    "binary.txt": (bytes(range(1, 32)) * 20, "not text"),
    "short.txt": (b"see above", "no text"),
    "broken.docx": (b"PK\x03\x04 word/ and nothing more", "broken file"),
    "copy.txt": (TEXT.encode(), "duplicate"),
}


GOOD = {
    "letter.txt": TEXT.encode(),
    "latin1.txt": (TEXT + "\nTempérature 38,5 °C, Señora Muñoz").encode("latin-1"),
    "report.pdf": pdf(),
    "really-a-pdf.txt": pdf(TEXT + "\nSecond copy, other content."),
    "scan.png": scan(),
    "export.csv": f'mrn,note\n1,"{TEXT}"\n2,"{TEXT} Again."\n'.encode(),
    "export.jsonl": "\n".join(json.dumps({"text": f"{TEXT} {i}"}) for i in range(3)).encode(),
}


def project_with(root, files):
    "A project whose reports are these files, content by name."
    (root / "params.yaml").write_text("{}\n")
    for name, content in files.items():
        path = root / "data" / "reports" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    bad = {f"nested/z-{name}": content for name, (content, _) in BAD.items()}
    good = {f"nested/a-{name}": content for name, content in GOOD.items()}
    root = project_with(tmp_path_factory.mktemp("ingest"), bad | good)
    return root, run_ingest(IngestParams(), root, EngineParams(workers=2))


def records(root, what, cls):
    return read_records(root / "artifacts" / "ingest" / what, cls, load_key("phi-at-rest"))


def test_each_bad_file_is_set_aside_with_its_reason(project):
    root, metrics = project
    kinds = {
        q.source.removeprefix("nested/z-"): q.kind
        for q in records(root, "quarantine", Quarantined)
        if not q.kind == "duplicate"
    }
    assert kinds == {name: kind for name, (_, kind) in BAD.items() if kind != "duplicate"}
    assert metrics["quarantined"] == len(BAD) and metrics["quarantined.duplicate"] == 1


def test_everything_else_comes_through(project):
    root, metrics = project
    reports = records(root, "reports", Report)
    assert len(reports) == metrics["reports"] == 5 + 2 + 3
    assert all("neumonia" in r.text for r in reports)
    assert "Température 38,5 °C, Señora Muñoz" in next(r.text for r in reports if "latin1" in r.source)
    assert {r.format for r in reports} == {"txt", "pdf", "image", "csv", "json"}


def test_second_run_reads_nothing_again(project):
    root, metrics = project
    assert metrics["from_cache"] <= 1  # the duplicate, if its twin was read first
    before = {p.name: p.read_bytes() for p in (root / "artifacts" / "ingest" / "reports").iterdir()}
    again = run_ingest(IngestParams(), root, EngineParams(workers=1))
    assert again["from_cache"] == len(GOOD) + 1  # all that could be read, and the duplicate
    assert before == {p.name: p.read_bytes() for p in (root / "artifacts" / "ingest" / "reports").iterdir()}, (
        "the same reports, other bytes"
    )


def test_nothing_that_is_shown_names_the_patient(project):
    root, metrics = project
    assert NAME not in json.dumps(metrics)
    assert not any(NAME in q.reason for q in records(root, "quarantine", Quarantined))
    assert not any(NAME.encode() in p.read_bytes() for p in (root / "artifacts").rglob("*") if p.is_file())


def test_missing_folder_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="dvc pull"):
        run_ingest(IngestParams(), tmp_path)


def test_a_copy_inside_one_zip_is_counted(tmp_path):
    root = project_with(tmp_path, {"all.zip": zipped([("a.txt", TEXT), ("copy of a.txt", TEXT)])})
    metrics = run_ingest(IngestParams(), root, EngineParams(workers=1))
    assert metrics["reports"] == 1 and metrics["quarantined.duplicate"] == 1


def test_messages_link_with_letters_and_count_what_is_lost(tmp_path):
    header = f"Patient: {NAME}, Ana\nMRN: 00451234\nDOB: 1950-03-14\n"
    files = {
        "letter.txt": (header + TEXT).encode(),
        "out.hl7": hl7(OBX),
        "sr.dcm": dicom(ContentSequence=[text_item(TEXT)]),
        "bad.hl7": hl7(OBX) + hl7("PV1|1"),
        "bundle.json": fhir(PATIENT, report(conclusion=TEXT, subject={"reference": "Patient/p"})),
    }
    root = project_with(tmp_path, files)
    metrics = run_ingest(IngestParams(), root, EngineParams(workers=1))
    assert {r.patient_id for r in records(root, "reports", Report)} == {"00451234"} and metrics["reports"] == 5
    assert [(q.source, q.kind) for q in records(root, "quarantine", Quarantined)] == [("bad.hl7", "no report")]
    assert records(root, "review", ReviewPage) == [] and metrics["pages_to_review"] == 0
    again = run_ingest(IngestParams(), root, EngineParams(workers=1))
    assert again["from_cache"] == 5 and again["quarantined"] == 1, "what a cached file had lost is forgotten"


def test_doubtful_pages_are_listed_for_a_person(tmp_path):
    root = project_with(tmp_path, {"scan.png": scan()})
    metrics = run_ingest(IngestParams(review_below=100), root, EngineParams(workers=1))
    (page,) = records(root, "review", ReviewPage)
    assert metrics["pages_to_review"] == 1
    assert (page.page, page.source) == (1, "scan.png") and 0 < page.confidence < 100
    assert b"scan.png" not in b"".join(p.read_bytes() for p in (root / "artifacts" / "ingest" / "review").iterdir())
