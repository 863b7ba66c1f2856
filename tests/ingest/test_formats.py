"Damaged and hostile files of every format: each is read or refused with its reason, never anything else."

import io
import json
import zipfile

import pytest
from conftest import ROOT
from docx.oxml.ns import nsdecls
from hypothesis import HealthCheck, given, settings, strategies as st
from reportlab.lib.pdfencrypt import StandardEncryption

from medllm_nb.ingest import (
    FORMAT_READERS,
    IngestError,
    read_content,
)

from made_files import (
    CHEST,
    NAME,
    OBX,
    PATIENT,
    QUICK,
    TEXT,
    dicom,
    document,
    drawn,
    fhir,
    filled_form,
    form,
    hl7,
    mail,
    pages_of_tiff,
    pasted_mail,
    pdf,
    picture,
    report,
    reports_of,
    saved,
    text_item,
    text_scan,
    texts,
    with_files,
    word,
    zipped,
)


GOOD = {
    "letter.rtf": (rb"{\rtf1\ansi Impression: Right lower lobe pneumonia, follow-up in six weeks.\par}", ["rtf"]),
    "page.html": (f"<html><body><p>{TEXT}</p></body></html>".encode(), ["html"]),
    "mail.eml": (mail(TEXT, [("a.pdf", pdf())]), ["email", "pdf"]),
    "attached.eml": (mail("See below.", [("a.pdf", pdf())]), ["pdf"]),
    "no-body.eml": (mail(None, [("a.pdf", pdf())]), ["pdf"]),
    "all.zip": (
        zipped(
            [("a.txt", TEXT), ("b/c.pdf", pdf()), ("in.zip", zipped([("d.rtf", b"{\\rtf1 " + TEXT.encode() + b"}")]))]
        ),
        ["txt", "pdf", "rtf"],
    ),
    "traversal.zip": (zipped([("../../../../tmp/evil.txt", TEXT), ("/etc/passwd", TEXT + " Again.")]), ["txt", "txt"]),
    "two.hl7": (hl7(OBX) + hl7(OBX), ["hl7", "hl7"]),
    "framed.hl7": (b"\x0b" + hl7(OBX) + b"\x1c\r", ["hl7"]),
    "unknown-segment.hl7": (hl7("ZZZ|1|what", OBX, "NTE|1"), ["hl7"]),
    "bundle.json": (fhir(report(conclusion=TEXT, presentedForm=[form(pdf())])), ["fhir"]),
    "bulk.ndjson": (
        "\n".join(json.dumps(report(conclusion=f"{TEXT} {i}")) for i in range(2)).encode(),
        ["fhir", "fhir"],
    ),
    "letter.json": (fhir(PATIENT, document(form(TEXT.encode(), "text/plain"))), ["fhir"]),
    "letters.json": (
        fhir(PATIENT, document(form(pdf())), document(form(TEXT.encode(), "text/plain; charset=utf-8"), form(pdf()))),
        ["fhir", "fhir"],
    ),
    "sr.dcm": (dicom(Modality="SR", ContentSequence=[text_item(TEXT)]), ["dicom-sr"]),
    "document.dcm": (dicom(EncapsulatedDocument=pdf()), ["dicom-pdf"]),
}


BAD = {
    "cut.zip": (zipped([("a.txt", TEXT)])[:60], "broken ZIP"),
    "empty.zip": (zipped([]), "empty file"),
    "bomb.zip": (zipped([("a.txt", b"a" * 20_000_000)]), "zip bomb"),
    "many.zip": (zipped([(f"{i}.txt", TEXT) for i in range(1001)]), "too many members"),
    "sheet.xlsx": (zipped([("xl/workbook.xml", "<x/>")]), "unknown XML"),
    "nothing.eml": (mail(), "no text"),
    "wrong.hl7": (hl7("PV1|1|I"), "no report"),
    "admission.hl7": (hl7("EVN|A01", kind="ADT^A01"), "no report"),
    "no-reports.json": (fhir({"resourceType": "Patient", "id": "p"}), "no report"),
    "misspelt.json": (fhir(report(conclusoin=TEXT)), "no text"),
    "linked.json": (fhir(report(presentedForm=[{"url": "https://example.org/1.pdf"}])), "no text|attachment elsewhere"),
    "cut.dcm": (dicom(EncapsulatedDocument=pdf())[:136], "broken DICOM|no report"),
    "half.dcm": (dicom(EncapsulatedDocument=pdf()[:300]), "broken PDF"),
    "picture.dcm": (dicom(Rows=2, Columns=2), "no report"),
    "locked.dcm": (
        dicom(EncapsulatedDocument=pdf(encrypt=StandardEncryption("secret", ownerPassword="o"))),
        "password-protected PDF",
    ),
    "fake.rtf": (b"not rich at all", "broken file"),
    "deep.json": (b"[" * 100_000, "broken JSON"),
}


@pytest.mark.parametrize("name", GOOD)
def test_each_format_gives_its_reports(name, tmp_path):
    content, formats = GOOD[name]
    reports, problems = reports_of(tmp_path, name, content)
    assert [r.format for r in reports] == formats and not problems
    assert all("pneumonia" in r.text for r in reports)
    assert len({r.report_id for r in reports}) == len(reports)
    if len(reports) > 1:
        assert [r.source for r in reports] == [f"{name}#{i}" for i in range(len(reports))]


@pytest.mark.parametrize("name", BAD)
def test_each_bad_file_is_refused_with_its_reason(name, tmp_path):
    content, kinds = BAD[name]
    with pytest.raises(IngestError) as caught:
        reports_of(tmp_path, name, content)
    assert caught.value.kind in kinds.split("|"), str(caught.value)
    assert NAME not in str(caught.value) and name not in str(caught.value)


def test_no_parser_logs_what_it_stumbles_over(capfd, caplog):
    broken = OBX.replace("pneumonia,", f"\\X{NAME}\\ pneumonia,")  # an escape that is no number
    contents = read_content(hl7(broken), "a.hl7", QUICK)
    assert "follow-up" in contents.reports[0].pages[0].text
    shown = capfd.readouterr()
    assert NAME not in shown.out + shown.err + caplog.text


SEEDS = [
    ("form.pdf", lambda: drawn(filled_form)),
    ("files.pdf", lambda: with_files(pdf(), ("a.txt", TEXT.encode()), clip=TEXT.encode())),
    ("pasted.eml", lambda: pasted_mail(b"\x89PNG")),
]
SEEDS += [(name, content) for name, (content, _) in GOOD.items()] + [
    ("a.tif", picture()),
    ("a.pdf", pdf()),
    ("a.csv", b"mrn,text\n1,Gout\n"),
]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.sampled_from(SEEDS),
    cut=st.floats(0, 1),
    edits=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=4)), max_size=6),
)
def test_mutated_bytes_are_read_or_refused_never_a_crash(seed, cut, edits):
    name, content = seed
    content = bytearray(content() if callable(content) else content)
    for at, new in edits:
        content[int(at * len(content)) : int(at * len(content)) + len(new)] = new
    if cut < 0.3:
        content = content[: int(len(content) * cut / 0.3)]
    try:
        contents = read_content(bytes(content), name, QUICK)
    except IngestError as e:
        assert e.kind and NAME not in str(e)
    else:
        assert all(isinstance(e, IngestError) and NAME not in str(e) for e in contents.problems)


OLE = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500)


ROW = "Impression: Right lower lobe pneumonia in the left hand export."


def rezipped(content, change):
    "A ZIP with each member as `change` makes it."
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return zipped([(m.filename, change(m.filename, archive.read(m))) for m in archive.infolist()])


def entities(name, content):
    "A document whose few entities unfold to gigabytes."
    if name != "word/document.xml":
        return content
    nested = "".join(f'<!ENTITY a{i} "{(f"&a{i - 1};" if i else "a") * 10}">' for i in range(9))
    body = "<w:body><w:p><w:r><w:t>&a8;</w:t></w:r></w:p></w:body>"
    return f"<!DOCTYPE x [{nested}]><w:document {nsdecls('w')}>{body}</w:document>"


HOSTILE = {
    "locked.docx": (
        lambda: OLE + "EncryptedPackage".encode("utf-16-le"),
        "password-protected file: .*without a password",
    ),
    "old.doc": (lambda: OLE + "WordDocument".encode("utf-16-le"), "unknown format: .*save it as DOCX"),
    "old-word.txt": (lambda: OLE, "unknown format: .*save it as DOCX"),
    "bomb.docx": (
        lambda: rezipped(
            word(), lambda name, content: content + b" " * 80_000_000 if name == "word/document.xml" else content
        ),
        "zip bomb",
    ),
    "entities.docx": (lambda: rezipped(word(), entities), "broken file"),
    "pages.tif": (lambda: pages_of_tiff(500), "too many pages: .*raise ingest.max_pages, or split it"),
    "cut.png": (lambda: saved(text_scan(*CHEST))[:2000], "broken image: .*scan or export it again"),
    "zero.pdf": (lambda: b"", "empty file"),
    "quotes.csv": (lambda: f'mrn,note\n1,"{ROW}\n2,"{ROW}"\n'.encode(), "broken CSV: .*export it again"),
    "cut.json": (lambda: json.dumps([{"text": ROW, "by": {"ward": "3"}}] * 9, indent=1).encode()[:-20], "broken JSON"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_what_to_do_alone_and_in_a_zip(name):
    make, reason = HOSTILE[name]
    content = make()
    with pytest.raises(IngestError, match=reason):
        read_content(content, name)
    found, problems = texts(zipped([(name, content), ("a.txt", TEXT)], zipfile.ZIP_STORED), "a.zip")
    assert found == [TEXT] and len(problems) == 1 and "member 1: " in str(problems[0])


def test_the_table_of_formats_lists_every_reader():
    rows = [
        line.split("|")[1].strip(" `")
        for line in (ROOT / "nbs/02_ingest/formats.ipynb").read_text().replace('"', "\n").splitlines()
        if line.startswith("| `")
    ]
    assert rows == list(FORMAT_READERS)
