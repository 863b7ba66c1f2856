"Bad files among good ones: each is set aside with its reason or read rightly, and everything else comes through."
import io
import json
import re
import struct
import zipfile
import zlib

import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from medllm_nb import ocr
from medllm_nb.core import Report, load_key, read_records
from medllm_nb.deidentify import deidentify
from medllm_nb.ingest import IngestError, IngestParams, Quarantined, header_fields, read_cached, read_report, read_reports, run_ingest

NAME = "Zwingli-Okonkwo"
TEXT = f"Patient: {NAME}, Ana\nMRN: 00451234\nImpression: Right lower lobe pneumonia, follow-up in six weeks."


def pdf(text=TEXT, **options):
    buffer = io.BytesIO()
    canvas = Canvas(buffer, **options)
    for i, line in enumerate(text.splitlines()): canvas.drawString(72, 720 - 16 * i, line)
    canvas.save()
    return buffer.getvalue()


def png(width, height):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def scan(number=None):
    image = Image.new("L", (1200, 400), 255)
    for i, line in enumerate([*TEXT.splitlines(), *([] if number is None else [f"Report number {number}."])]): ImageDraw.Draw(image).text((40, 40 + 70 * i), line, fill=0, font=ImageFont.load_default(36))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


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


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("ingest")
    (root / "params.yaml").write_text("{}\n")
    folder = root / "data" / "reports" / "nested"
    folder.mkdir(parents=True)
    for name, (content, _) in BAD.items(): (folder / f"z-{name}").write_bytes(content)
    for name, content in GOOD.items(): (folder / f"a-{name}").write_bytes(content)
    return root, run_ingest(IngestParams(workers=2), root)


def records(root, what, cls): return read_records(root / "artifacts" / "ingest" / what, cls, load_key("phi-at-rest"))


def test_each_bad_file_is_set_aside_with_its_reason(project):
    root, metrics = project
    kinds = {q.source.removeprefix("nested/z-"): q.kind for q in records(root, "quarantine", Quarantined) if not q.kind == "duplicate"}
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
    again = run_ingest(IngestParams(workers=1), root)
    assert again["from_cache"] == len(GOOD) + 1  # all that could be read, and the duplicate
    assert before == {p.name: p.read_bytes() for p in (root / "artifacts" / "ingest" / "reports").iterdir()}, "the same reports, other bytes"


def zip_of_scans(*pages):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for i, page in enumerate(pages): archive.writestr(zipfile.ZipInfo(f"{i}.png"), page)  # without the time of day, or no two archives are equal
    return buffer.getvalue()


def test_a_scan_more_in_a_zip_sends_one_page_through_ocr(tmp_path, monkeypatch):
    calls, read = [], ocr.ocr_page
    monkeypatch.setattr(ocr, "ocr_page", lambda *given: calls.append(1) or read(*given))
    path, cache = tmp_path / "all.zip", tmp_path / "cache"
    cache.mkdir()

    def reading(*pages, params=IngestParams()):
        calls.clear()
        path.write_bytes(zip_of_scans(*pages))
        reports, problems, cached = read_cached(path, path.name, params, cache, bytes(32))
        assert not problems
        return [r.text for r in reports], len(calls), cached

    first, pages, cached = reading(scan(), scan(1))
    assert pages == 2 and not cached and len(set(first)) == 2
    alone, pages, _ = reading(scan(2))
    assert pages == 1 and reading(scan(2), scan(), scan(1)) == ([*alone, *first], 0, False)
    assert reading(scan(), scan(3), scan(1))[1:] == (1, False)
    assert reading(scan(), scan(3), scan(1))[1:] == (0, True)
    assert reading(scan(), params=IngestParams(ocr_min_height=1900))[1] == 1
    assert not any(NAME.encode() in p.read_bytes() for p in cache.rglob("*") if p.is_file())


ROW = "name,dob,mrn,note\n{name},{dob},00451234,Ms. Okonkwo-Zwingli was seen for a right lower lobe pneumonia.\n"


@pytest.mark.parametrize("name,dob", [("zwingli ana", "1950-03-14"), ("Zwingli, Ana", "19500314"), ("ZWINGLI^ANA".replace("^", ", "), "14.03.1950")])
def test_what_a_table_says_of_the_patient_is_found_in_the_text(name, dob, tmp_path):
    path = tmp_path / "export.csv"
    path.write_text(ROW.replace("Okonkwo-Zwingli", "Zwingli").format(name=f'"{name}"', dob=dob))
    report = read_report(path)
    assert header_fields(report.text) == {"mrn": "00451234", "name": "ana zwingli", "dob": "1950-03-14"}
    clean = deidentify(report, key=bytes(32)).text
    assert not re.search("(?i)zwingli|00451234|1950|ana\\b", clean) and "right lower lobe pneumonia" in clean


def test_a_table_row_without_a_report_is_none_whoever_it_names(tmp_path):
    path = tmp_path / "export.csv"
    path.write_text("patient_name,birth_date,mrn,text\nZwingli Ana Maria Magdalena,1950-03-14,00451234,see above\n")
    with pytest.raises(IngestError, match="no text"): read_report(path)


def test_a_record_number_is_not_written_into_a_report_that_lacks_it(tmp_path):
    path = tmp_path / "export.csv"
    path.write_text("mrn,text\n00451234,Impression: Right lower lobe pneumonia with effusion.\n")
    report = read_report(path)
    assert report.patient_id == "00451234" and "0045" not in report.text


def test_nothing_that_is_shown_names_the_patient(project):
    root, metrics = project
    assert NAME not in json.dumps(metrics)
    assert not any(NAME in q.reason for q in records(root, "quarantine", Quarantined))
    assert not any(NAME.encode() in p.read_bytes() for p in (root / "artifacts").rglob("*") if p.is_file())


def test_read_report_refuses_a_file_with_several(tmp_path):
    path = tmp_path / "export.csv"
    path.write_bytes(GOOD["export.csv"])
    with pytest.raises(IngestError, match="several reports"): read_report(path)


def test_missing_folder_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="dvc pull"): run_ingest(IngestParams(), tmp_path)


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=400), suffix=st.sampled_from([".txt", ".csv", ".json", ".pdf", ".docx", ".png", ".tif", ".xyz", ""]),
       head=st.sampled_from([b"", b"%PDF-1.7\n", b"PK\x03\x04 word/", b"\x89PNG\r\n\x1a\n", b"II*\x00", b"\xff\xd8\xff", b"a,text\n", b"[{"]))
def test_any_bytes_are_read_or_refused_never_a_crash(tmp_path_factory, content, suffix, head):
    path = tmp_path_factory.mktemp("fuzz") / f"file{suffix}"
    path.write_bytes(head + content)
    try: reports = read_reports(path)
    except IngestError as e: assert e.kind
    else: assert reports and all(r.text.strip() for r in reports)
