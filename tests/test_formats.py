"Damaged and hostile files of every format: each is read or refused with its reason, never anything else."
import base64
import ctypes
import email.message
import email.mime.application
import email.mime.image
import email.mime.multipart
import email.mime.text
import io
import json
import zipfile
from email import policy

import docx
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from medllm_nb.core import content_id, load_key, read_records
from medllm_nb.formats import read_content
from medllm_nb.ingest import IngestError, IngestParams, Quarantined, ReviewPage, Report, header_fields, name_key, read_file, read_report, run_ingest

NAME = "Zwingli-Okonkwo"
TEXT = f"Patient: {NAME}, Ana\nMRN: 00451234\nImpression: Right lower lobe pneumonia, follow-up in six weeks."
QUICK = IngestParams(max_pages=3, ocr_timeout_s=10)


def pdf(**options):
    buffer = io.BytesIO()
    canvas = Canvas(buffer, **options)
    for i, line in enumerate(TEXT.splitlines()): canvas.drawString(72, 720 - 16 * i, line)
    canvas.save()
    return buffer.getvalue()


def zipped(members, compress=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as archive:
        for name, content in members: archive.writestr(name, content)
    return buffer.getvalue()


def locked_zip():
    "A ZIP whose second member carries the flag of encryption, in its own header and in the directory."
    content = bytearray(zipped([("a.txt", TEXT), ("b.txt", TEXT + " Again.")], zipfile.ZIP_STORED))
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.rindex(mark) + at] |= 1
    return bytes(content)


def mail(body=None, attachments=()):
    message = email.message.EmailMessage(policy=policy.default)
    message["From"], message["Message-ID"], message["Subject"] = "lab@example.org", "<1@example.org>", f"Results {NAME}"
    if body: message.set_content(body)
    for name, content in attachments: message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes()


def hl7(*segments, kind="ORU^R01"):
    head = [rf"MSH|^~\&|LAB|CLINIC|||20240305||{kind}|1|P|2.5", f"PID|1||00451234^^^C^MR||{NAME.upper()}^ANA||19500314|F"]
    return "\r".join([*head, *segments, ""]).encode()


def fhir(*resources):
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]}).encode()


def report(**fields):
    return {"resourceType": "DiagnosticReport", "id": "r", "status": "final", "code": {"text": "Chest radiograph"}, **fields}


def form(content, kind="application/pdf"): return {"contentType": kind, "data": base64.b64encode(content).decode()}


def document(*attachments):
    "A FHIR DocumentReference: its text is in its attachments alone."
    return {"resourceType": "DocumentReference", "id": "d", "status": "current", "type": {"text": "Letter"}, "subject": {"reference": "Patient/p"},
            "content": [{"attachment": a} for a in attachments]}


PATIENT = {"resourceType": "Patient", "id": "p", "name": [{"family": NAME, "given": ["Ana"]}], "birthDate": "1950-03-14", "identifier": [{"value": "00451234"}]}


def dicom(**values):
    dataset = Dataset()
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = f"{NAME.upper()}^ANA", "00451234", "19500314"
    for key, value in values.items(): setattr(dataset, key, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.3"
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def text_item(text):
    item = Dataset()
    item.ValueType, item.TextValue = "TEXT", text
    return item


OBX = "OBX|1|FT|IMP^Impression||Right lower lobe pneumonia, follow-up in six weeks.||||||F"
GOOD = {
    "letter.rtf": (rb"{\rtf1\ansi Impression: Right lower lobe pneumonia, follow-up in six weeks.\par}", ["rtf"]),
    "page.html": (f"<html><body><p>{TEXT}</p></body></html>".encode(), ["html"]),
    "mail.eml": (mail(TEXT, [("a.pdf", pdf())]), ["email", "pdf"]),
    "attached.eml": (mail("See below.", [("a.pdf", pdf())]), ["pdf"]),
    "no-body.eml": (mail(None, [("a.pdf", pdf())]), ["pdf"]),
    "all.zip": (zipped([("a.txt", TEXT), ("b/c.pdf", pdf()), ("in.zip", zipped([("d.rtf", b"{\\rtf1 " + TEXT.encode() + b"}")]))]), ["txt", "pdf", "rtf"]),
    "traversal.zip": (zipped([("../../../../tmp/evil.txt", TEXT), ("/etc/passwd", TEXT + " Again.")]), ["txt", "txt"]),
    "two.hl7": (hl7(OBX) + hl7(OBX), ["hl7", "hl7"]),
    "framed.hl7": (b"\x0b" + hl7(OBX) + b"\x1c\r", ["hl7"]),
    "unknown-segment.hl7": (hl7("ZZZ|1|what", OBX, "NTE|1"), ["hl7"]),
    "bundle.json": (fhir(report(conclusion=TEXT, presentedForm=[form(pdf())])), ["fhir"]),
    "bulk.ndjson": ("\n".join(json.dumps(report(conclusion=f"{TEXT} {i}")) for i in range(2)).encode(), ["fhir", "fhir"]),
    "letter.json": (fhir(PATIENT, document(form(TEXT.encode(), "text/plain"))), ["fhir"]),
    "letters.json": (fhir(PATIENT, document(form(pdf())), document(form(TEXT.encode(), "text/plain; charset=utf-8"), form(pdf()))), ["fhir", "fhir"]),
    "sr.dcm": (dicom(Modality="SR", ContentSequence=[text_item(TEXT)]), ["dicom-sr"]),
    "document.dcm": (dicom(EncapsulatedDocument=pdf()), ["dicom-pdf"]),
}
BAD = {
    "cut.zip": (zipped([("a.txt", TEXT)])[:60], "broken ZIP"),
    "empty.zip": (zipped([]), "empty file"),
    "bomb.zip": (zipped([("a.txt", b"a" * 20_000_000)]), "zip bomb"),
    "many.zip": (zipped([(f"{i}.txt", TEXT) for i in range(1001)]), "too many members"),
    "sheet.xlsx": (zipped([("xl/workbook.xml", "<x/>")]), "unknown format"),
    "nothing.eml": (mail(), "no text"),
    "wrong.hl7": (hl7("PV1|1|I"), "no report"),
    "admission.hl7": (hl7("EVN|A01", kind="ADT^A01"), "no report"),
    "no-reports.json": (fhir({"resourceType": "Patient", "id": "p"}), "no report"),
    "misspelt.json": (fhir(report(conclusoin=TEXT)), "broken FHIR"),
    "linked.json": (fhir(report(presentedForm=[{"url": "https://example.org/1.pdf"}])), "no text|attachment elsewhere"),
    "cut.dcm": (dicom(EncapsulatedDocument=pdf())[:136], "broken DICOM|no report"),
    "half.dcm": (dicom(EncapsulatedDocument=pdf()[:300]), "broken PDF"),
    "picture.dcm": (dicom(Rows=2, Columns=2), "no report"),
    "locked.dcm": (dicom(EncapsulatedDocument=pdf(encrypt=StandardEncryption("secret", ownerPassword="o"))), "password-protected PDF"),
    "fake.rtf": (b"not rich at all", "broken file"),
    "deep.json": (b"[" * 100_000, "broken JSON"),
}


def reports_of(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return read_file(path, QUICK)


@pytest.mark.parametrize("name", GOOD)
def test_each_format_gives_its_reports(name, tmp_path):
    content, formats = GOOD[name]
    reports, problems = reports_of(tmp_path, name, content)
    assert [r.format for r in reports] == formats and not problems
    assert all("pneumonia" in r.text for r in reports)
    assert len({r.report_id for r in reports}) == len(reports)
    if len(reports) > 1: assert [r.source for r in reports] == [f"{name}#{i}" for i in range(len(reports))]


@pytest.mark.parametrize("name", BAD)
def test_each_bad_file_is_refused_with_its_reason(name, tmp_path):
    content, kinds = BAD[name]
    with pytest.raises(IngestError) as caught: reports_of(tmp_path, name, content)
    assert caught.value.kind in kinds.split("|"), str(caught.value)
    assert NAME not in str(caught.value) and name not in str(caught.value)


def test_a_fhir_document_brings_its_patient_and_each_attachment(tmp_path):
    letters, _ = reports_of(tmp_path, "letters.json", GOOD["letters.json"][0])
    assert [r.pages for r in letters] == [2, 3] and [r.text.count("pneumonia") for r in letters] == [1, 2]
    assert all(r.text.splitlines()[:4] == [f"Patient: {NAME}, Ana", "MRN: 00451234", "DOB: 1950-03-14", "Study: Letter"] for r in letters)


def word(repeat=1):
    "A DOCX file whose header and footer stand in each section, whose first page has a header of its own."
    document, buffer = docx.Document(), io.BytesIO()
    for number in range(repeat):
        section = document.sections[0] if number == 0 else document.add_section()
        section.header.is_linked_to_previous = section.footer.is_linked_to_previous = False
        section.header.add_table(1, 2, 5_000_000).rows[0].cells[0].text = f"Patient: {NAME}, Ana"
        section.header.tables[0].rows[0].cells[1].text = "MRN: 00451234"
        section.footer.paragraphs[0].text = "DOB: 1950-03-14"
        document.add_paragraph(f"Impression {number}: Right lower lobe pneumonia, follow-up in six weeks.")
    document.sections[0].different_first_page_header_footer = True
    document.sections[0].first_page_header.paragraphs[0].text = "Chest clinic"
    document.save(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("sections", [1, 3])
def test_what_stands_in_the_margins_of_a_word_file_is_read_once(sections, tmp_path):
    (read,), _ = reports_of(tmp_path, "letter.docx", word(sections))
    lines = [line for line in read.text.splitlines() if line]
    assert lines[:2] == ["Chest clinic", f"Patient: {NAME}, Ana | MRN: 00451234"] and lines[-1] == "DOB: 1950-03-14"
    assert len(lines) == 3 + sections and header_fields(read.text) == {"mrn": "00451234", "name": name_key(f"{NAME}, Ana"), "dob": "1950-03-14"}


def test_a_report_keeps_its_id_when_its_zip_or_mail_grows(tmp_path):
    members = [(f"{i}.txt", f"{TEXT} {i}") for i in range(3)]
    ids = lambda name, content: [r.report_id for r in reports_of(tmp_path, name, content)[0]]
    alone = [ids(name, text.encode())[0] for name, text in members]
    assert ids("a.zip", zipped(members[:2])) == alone[:2] and ids("b.zip", zipped(members)) == alone
    assert ids("c.eml", mail("See below.", [(name, text.encode()) for name, text in members])) == alone
    table = ("t.csv", b"mrn,text\n1,%s\n2,%s again\n" % ((TEXT.replace("\n", " ").replace(",", "").encode(),) * 2))
    assert ids("d.zip", zipped([table])) == ids(*table) and len(set(ids(*table))) == 2


def test_a_copy_inside_one_zip_is_counted(tmp_path):
    (tmp_path / "params.yaml").write_text("{}\n")
    (tmp_path / "data" / "reports").mkdir(parents=True)
    (tmp_path / "data" / "reports" / "all.zip").write_bytes(zipped([("a.txt", TEXT), ("copy of a.txt", TEXT)]))
    metrics = run_ingest(IngestParams(workers=1), tmp_path)
    assert metrics["reports"] == 1 and metrics["quarantined.duplicate"] == 1


def test_a_bad_member_does_not_lose_the_others(tmp_path):
    members = [("a.txt", TEXT), (f"{NAME}.exe", b"MZ\x90\x00\x03" + bytes(99)), ("cut.pdf", pdf()[:200]), ("b.txt", TEXT + " Again.")]
    reports, problems = reports_of(tmp_path, "mixed.zip", zipped(members))
    assert len(reports) == 2 and [e.kind for e in problems] == ["unknown format", "broken PDF"]
    assert "member 2" in str(problems[0]) and NAME not in str(problems[0])
    reports, problems = reports_of(tmp_path, "locked.zip", locked_zip())
    assert len(reports) == 1 and [e.kind for e in problems] == ["password-protected ZIP"]


def test_envelopes_in_envelopes_share_one_budget(tmp_path):
    nested = TEXT.encode()
    for _ in range(6): nested = zipped([("in.zip" if nested.startswith(b"PK") else "a.txt", nested)])
    with pytest.raises(IngestError, match="nested too deep"): reports_of(tmp_path, "deep.zip", nested)
    inner = zipped([(f"{i}.txt", f"{TEXT} {i}") for i in range(6)])
    reports, problems = read_content_of(zipped([("1.zip", inner), ("2.zip", inner)]), IngestParams(max_members=10))
    assert reports == 6 and problems == ["too many members"]


def read_content_of(content, params):
    contents = read_content(content, "x.zip", params)
    return len(contents.found), [e.kind for e in contents.problems]


def test_a_damaged_document_leaves_its_message(tmp_path):
    for name, content in (("a.json", fhir(report(conclusion=TEXT, presentedForm=[form(b"%PDF-1.7 cut")]))),
                          ("a.hl7", hl7(OBX, "OBX|2|ED|PDF^Report||^application^pdf^Base64^!!!||||||F"))):
        (found,), (problem,) = reports_of(tmp_path, name, content)
        assert "pneumonia" in found.text and problem.kind in ("broken PDF", "broken base64")


def test_messages_link_with_letters_and_count_what_is_lost(tmp_path):
    (tmp_path / "params.yaml").write_text("{}\n")
    folder = tmp_path / "data" / "reports"
    folder.mkdir(parents=True)
    header = f"Patient: {NAME}, Ana\nMRN: 00451234\nDOB: 1950-03-14\n"
    files = {"letter.txt": (header + TEXT).encode(), "out.hl7": hl7(OBX), "sr.dcm": dicom(ContentSequence=[text_item(TEXT)]), "bad.hl7": hl7(OBX) + hl7("PV1|1"),
             "bundle.json": fhir(PATIENT, report(conclusion=TEXT, subject={"reference": "Patient/p"}))}
    for name, content in files.items(): (folder / name).write_bytes(content)
    metrics = run_ingest(IngestParams(workers=1), tmp_path)
    read = lambda what, cls: read_records(tmp_path / "artifacts" / "ingest" / what, cls, load_key("phi-at-rest"))
    assert {r.patient_id for r in read("reports", Report)} == {"00451234"} and metrics["reports"] == 5
    assert [(q.source, q.kind) for q in read("quarantine", Quarantined)] == [("bad.hl7", "no report")]
    assert read("review", ReviewPage) == [] and metrics["pages_to_review"] == 0
    again = run_ingest(IngestParams(workers=1), tmp_path)
    assert again["from_cache"] == 5 and again["quarantined"] == 1, "what a cached file had lost is forgotten"


def test_doubtful_pages_are_listed_for_a_person(tmp_path):
    (tmp_path / "params.yaml").write_text("{}\n")
    folder = tmp_path / "data" / "reports"
    folder.mkdir(parents=True)
    from test_ingest import scan
    (folder / "scan.png").write_bytes(scan())
    metrics = run_ingest(IngestParams(workers=1, review_below=100), tmp_path)
    (page,) = read_records(tmp_path / "artifacts" / "ingest" / "review", ReviewPage, load_key("phi-at-rest"))
    assert metrics["pages_to_review"] == 1 and page.page == 1 and page.source == "scan.png" and 0 < page.confidence < 100
    assert b"scan.png" not in b"".join(p.read_bytes() for p in (tmp_path / "artifacts" / "ingest" / "review").iterdir())


def test_no_parser_logs_what_it_stumbles_over(capfd, caplog):
    broken = OBX.replace("pneumonia,", f"\\X{NAME}\\ pneumonia,")  # an escape that is no number
    contents = read_content(hl7(broken), "a.hl7", QUICK)
    assert "follow-up" in contents.found[0].pages[0].text
    shown = capfd.readouterr()
    assert NAME not in shown.out + shown.err + caplog.text


def picture():
    buffer = io.BytesIO()
    Image.new("L", (60, 40), 255).save(buffer, "TIFF", save_all=True, append_images=[Image.new("L", (60, 40), 200)])
    return buffer.getvalue()


SEEDS = [("form.pdf", lambda: drawn(filled_form)), ("files.pdf", lambda: with_files(pdf(), ("a.txt", TEXT.encode()), clip=TEXT.encode())), ("pasted.eml", lambda: pasted_mail(b"\x89PNG"))]
SEEDS += [(name, content) for name, (content, _) in GOOD.items()] + [("a.tif", picture()), ("a.pdf", pdf()), ("a.csv", b"mrn,text\n1,Gout\n")]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.sampled_from(SEEDS), cut=st.floats(0, 1), edits=st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=4)), max_size=6))
def test_mutated_bytes_are_read_or_refused_never_a_crash(seed, cut, edits):
    name, content = seed
    content = bytearray(content() if callable(content) else content)
    for at, new in edits: content[int(at * len(content)) : int(at * len(content)) + len(new)] = new
    if cut < 0.3: content = content[: int(len(content) * cut / 0.3)]
    try: contents = read_content(bytes(content), name, QUICK)
    except IngestError as e: assert e.kind and NAME not in str(e)
    else: assert all(isinstance(e, IngestError) and NAME not in str(e) for e in contents.problems)


def part(text, kind="plain", name=None):
    made = email.mime.text.MIMEText(text, kind)
    if name: made.add_header("Content-Disposition", "attachment", filename=name)
    return made


def around(kind, *parts, **params):
    made = email.mime.multipart.MIMEMultipart(kind, **params)
    for inner in parts: made.attach(inner)
    return made


def texts(content, name):
    contents = read_content(content, name)
    return [page.text for found in contents.found for page in found.pages], contents.problems


@pytest.mark.parametrize("make", [
    lambda a: around("signed", around("mixed", part(TEXT), a), email.mime.application.MIMEApplication(b"x" * 200, "pkcs7-signature", name="smime.p7s")),
    lambda a: around("mixed", around("alternative", part(TEXT), around("mixed", part(f"<p>{TEXT}", "html"), a))),
    lambda a: a])
def test_an_attachment_is_found_wherever_a_mail_program_puts_it(make):
    message = make(part("Attached: the spleen is normal, no focal lesion is seen.", name="r.txt"))
    message["From"] = "ward@example.org"
    found, problems = texts(message.as_bytes(), "a.eml")
    assert "the spleen is normal" in found[-1] and not problems and sum("Right lower lobe" in f for f in found) <= 1


def test_word_text_in_controls_insertions_boxes_and_inner_tables_is_read():
    document = docx.Document()
    paragraph = document.add_paragraph("The lungs are clear.")
    for inner in ("<w:ins {} w:id='1' w:author='x'><w:r><w:t>Inserted.</w:t></w:r></w:ins>", "<w:sdt {}><w:sdtContent><w:r><w:t>Chosen.</w:t></w:r></w:sdtContent></w:sdt>",
                  "<w:del {} w:id='2' w:author='x'><w:r><w:delText>Deleted.</w:delText></w:r></w:del>", "<w:r {}><w:pict><w:txbxContent><w:p><w:r><w:t>Boxed.</w:t></w:r></w:p></w:txbxContent></w:pict></w:r>"):
        paragraph._p.append(parse_xml(inner.format(nsdecls("w"))))
    document.add_table(1, 1).cell(0, 0).add_table(1, 1).cell(0, 0).text = "Nested."
    document.save(buffer := io.BytesIO())
    text = texts(buffer.getvalue(), "a.docx")[0][0]
    assert all(text.count(word) == 1 for word in ("clear.", "Inserted.", "Chosen.", "Boxed.", "Nested.")) and "Deleted" not in text


def bundle(*resources):
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": f"http://s/{r['resourceType']}/{r['id']}", "resource": r} for r in resources]}).encode()


def test_a_bundles_panels_and_linked_documents_are_read():
    code = lambda text: {"status": "final", "code": {"text": text}}
    panel = {"resourceType": "Observation", "id": "o1", **code("BMP"), "hasMember": [{"reference": "Observation/o2"}, {"reference": "Observation/o1"}]}
    potassium = {"resourceType": "Observation", "id": "o2", **code("Potassium"), "valueQuantity": {"value": 5.9, "unit": "mmol/L"}}
    report = {"resourceType": "DiagnosticReport", "id": "r", **code("Labs"), "result": [{"reference": "Observation/o1"}]}
    found, problems = texts(bundle(report, panel, potassium), "a.json")
    assert "Potassium 5.9 mmol/L" in found[0] and not problems
    note = {"resourceType": "DocumentReference", "id": "d", "status": "current", "content": [{"attachment": {"url": "Binary/b"}}, {"attachment": {"url": "Binary/elsewhere"}}]}
    page = {"resourceType": "Binary", "id": "b", "contentType": "application/xhtml+xml", "data": base64.b64encode(f"<div><p>{TEXT}</p></div>".encode()).decode()}
    found, problems = texts(bundle(note, page), "a.json")
    assert "Right lower lobe" in found[-1] and [p.kind for p in problems] == ["attachment elsewhere"]


@pytest.mark.parametrize("form", ["^TEXT^plain^Base64^" + base64.b64encode(b"The spleen is normal.").decode(), "^TEXT^TXT^Hex^" + b"The spleen is normal.".hex(), "^TEXT^TXT^A^The spleen is normal."])
def test_documents_in_hl7_are_read_in_every_encoding(form):
    message = f"MSH|^~\\&|LAB|H|||20240314||ORU^R01|1|P|2.5\rOBR|1|||71020^CT\rOBX|1|ED|x^Doc||{form}\r"
    assert texts(message.encode(), "a.hl7")[0][-1] == "The spleen is normal."


def test_a_stamped_scan_is_read_by_ocr():
    scan = Image.new("L", (1240, 700), 255)
    for i, line in enumerate(["CT chest shows a nodule of 9 mm", "in the left lower lobe.", "Follow up in three months is advised."]): ImageDraw.Draw(scan).text((80, 80 + 70 * i), line, fill=0, font=ImageFont.load_default(40))
    canvas = Canvas(buffer := io.BytesIO(), pagesize=(595, 400))
    canvas.drawImage(ImageReader(scan), 0, 20, 595, 336)
    canvas.drawString(20, 385, "From: Springfield General Hospital Fax  14 March 2024 10:22  Page 1 of 2")
    canvas.save()
    text = texts(buffer.getvalue(), "a.pdf")[0][0]
    assert "nodule" in text and "Springfield" in text


def drawn(make):
    "A PDF of one page as `make` draws it."
    canvas = Canvas(buffer := io.BytesIO(), pagesize=(595, 842))
    make(canvas)
    canvas.save()
    return buffer.getvalue()


def text_scan(*lines, size=(1240, 700)):
    scan = Image.new("L", size, 255)
    for i, line in enumerate(lines): ImageDraw.Draw(scan).text((80, 80 + 70 * i), line, fill=0, font=ImageFont.load_default(40))
    return scan


def saved(image, kind="PNG"):
    image.save(buffer := io.BytesIO(), kind)
    return buffer.getvalue()


CHEST = ("CT chest shows a nodule of 9 mm", "in the left lower lobe.", "Follow up in three months is advised.")
TYPED = "/Helv 10 Tf 0 g"


def filled_form(canvas):
    form = canvas.acroForm
    canvas.drawString(72, 720, "Hemoglobin:")
    canvas.drawString(300, 720, "g/dL")
    form.textfield(name="Text1", x=150, y=714, width=100, height=20, value="9.1")
    form.textfield(name="secret", x=150, y=744, width=100, height=20, value="hunter2", fieldFlags="password")
    form.textfield(name="script", x=150, y=774, width=100, height=20, value="v1.2", annotationFlags="print hidden")
    for x, name, chosen in ((72, "left", True), (172, "right", False)):
        form.radio(name="side", value=name, selected=chosen, x=x, y=688, size=14)
        canvas.drawString(x + 18, 690, name)
    canvas.drawString(72, 650, "Plan:")
    canvas.freeTextAnnotation("Levofloxacin 500 mg", Rect=[110, 645, 300, 665], DA=TYPED, addtopage=1)
    canvas.drawString(72, 600, "Right lower lobe pneumonia.")
    canvas.highlightAnnotation("Right lower lobe pneumonia.", Rect=[70, 595, 260, 612], QuadPoints=[70, 612, 260, 612, 70, 595, 260, 595], addtopage=1)
    canvas.textAnnotation("Compare with 2019.", Rect=[500, 600, 520, 620], addtopage=1)


def test_what_was_filled_in_a_pdf_stands_at_its_place_and_what_is_hidden_does_not():
    (text,), problems = texts(drawn(filled_form), "a.pdf")
    assert text.split("\n") == ["Hemoglobin: 9.1 g/dL", "[x] left [ ] right", "Plan: Levofloxacin 500 mg", "Right lower lobe pneumonia.", "Remark: Compare with 2019."] and not problems


def test_a_field_takes_nothing_of_the_column_beside_it():
    def form(canvas):
        canvas.drawString(50, 700, "Findings")
        canvas.acroForm.textfield(name="t", x=50, y=600, width=220, height=90, fieldFlags="multiline", value="Clear lungs.")
        for i in range(6): canvas.drawString(320, 690 - 14 * i, f"Right column {i}.")
    assert texts(drawn(form), "a.pdf")[0][0].split("\n")[:3] == ["Findings", "Clear lungs.", "Right column 0."]


def test_a_form_over_a_scan_and_a_form_without_print_are_read():
    def scanned(canvas):
        canvas.drawImage(ImageReader(text_scan(*CHEST)), 0, 420, 595, 336)
        canvas.acroForm.textfield(name="a.add", tooltip="Addendum", x=72, y=300, width=300, height=20, value="Compared with 2019: new.")
        canvas.textAnnotation("Call the ward.", Rect=[400, 300, 420, 320], addtopage=1)
    (text,), _ = texts(drawn(scanned), "a.pdf")
    assert "nodule" in text and text.count("Compared with 2019") == 1 and text.count("Call the ward.") == 1

    def bare(canvas):
        canvas.rect(10, 10, 20, 20)
        canvas.acroForm.textfield(name="Impression", x=72, y=600, width=300, height=20, value="Right lower lobe pneumonia, follow-up.")
        for y, name in ((500, "Smoker"), (470, "Diabetes")): canvas.acroForm.checkbox(name=name, checked=name == "Smoker", x=72, y=y, size=14)
    assert texts(drawn(bare), "a.pdf")[0] == ["Impression: Right lower lobe pneumonia, follow-up.\nSmoker: [x]"]


def test_a_form_that_only_adobe_shows_is_refused_with_what_to_do():
    xfa = b"""%PDF-1.7
1 0 obj <</Type/Catalog/Pages 2 0 R/NeedsRendering true/AcroForm<</Fields[]/XFA 4 0 R>>>> endobj
2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj
3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Contents 5 0 R/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>> endobj
4 0 obj <</Length 11>> stream
<xdp></xdp>
endstream endobj
5 0 obj <</Length 94>> stream
BT /F1 12 Tf 20 200 Td (Please wait. If this message is not eventually replaced, upgrade) Tj ET
endstream endobj
trailer <</Root 1 0 R/Size 6>>
%%EOF"""
    for form in (xfa, xfa.replace(b"/NeedsRendering true", b"")):
        with pytest.raises(IngestError, match="XFA form: .* print it to PDF"): read_content(form, "a.pdf")
    assert "Please wait" in texts(xfa.replace(b"/XFA 4 0 R", b""), "a.pdf")[0][0]


def pasted_mail(*pictures, octets=False):
    "A mail whose HTML shows pictures by their content id."
    page = part("<p>See the scan." + "".join(f"<img src='cid:p{i}'>" for i in range(len(pictures))), "html")
    shown = []
    for number, picture in enumerate(pictures):
        made = email.mime.application.MIMEApplication(picture, name=f"image{number}.png") if octets else email.mime.image.MIMEImage(picture, "png")
        made["Content-ID"] = f"<p{number}>"
        made.add_header("Content-Disposition", "inline")
        shown.append(made)
    message = around("related", around("alternative", part("See the scan."), page), *shown)
    message["From"], message["Message-ID"] = "ward@example.org", "<1@example.org>"
    return message.as_bytes()


@pytest.mark.parametrize("octets", [False, True])
def test_a_scan_pasted_into_a_mail_is_read_and_its_logos_are_not(octets, monkeypatch):
    from medllm_nb import pdf as reader
    read, sizes = reader.read_page, []
    monkeypatch.setattr(reader, "read_page", lambda image, params: sizes.append(image.size) or read(image, params))
    logos = [saved(text_scan("Springfield", size=size)) for size in ((400, 200), (1200, 150), (64, 64))]
    found, problems = texts(pasted_mail(logos[0], saved(text_scan(*CHEST)), *logos[1:], octets=octets), "a.eml")
    assert len(found) == 1 and "left lower lobe" in found[0] and not problems and sizes == [(1240, 700)]


def test_a_scan_pasted_into_word_rtf_or_html_is_its_last_page_and_a_photograph_is_counted():
    scan, photo = saved(text_scan(*CHEST)), saved(Image.radial_gradient("L").resize((900, 900)))
    document = docx.Document()
    document.add_paragraph("See the scan.")
    for picture in (scan, photo): document.add_picture(io.BytesIO(picture))
    document.sections[0].header.paragraphs[0].add_run().add_picture(io.BytesIO(saved(text_scan("Springfield General Hospital", "Department of Radiology", "Chest Clinic"))))
    document.save(buffer := io.BytesIO())
    pict = lambda picture: rb"{\pict\pngblip\picscalex100" + b"\n" + picture.hex().encode() + b"}"
    page = "<p>See the scan.</p>" + "".join(f'<img src="data:image/png;base64,{base64.b64encode(p).decode()}">' for p in (scan, photo))
    for name, content in (("a.docx", buffer.getvalue()), ("a.rtf", rb"{\rtf1 See the scan." + pict(scan) + pict(photo) + b"}"), ("a.html", b"<html>" + page.encode())):
        found, problems = texts(content, name)
        assert len(found) == 2 and found[0].strip() == "See the scan." and "left lower lobe" in found[1], name
        assert [p.kind for p in problems] == ["picture without text"], name


def test_a_document_that_a_mail_program_puts_beside_the_layout_is_an_attachment():
    made = email.mime.application.MIMEApplication(pdf(), "pdf", name="scan.pdf")
    made["Content-ID"] = "<x@y>"
    message = around("related", part("<p>See below", "html"), made)
    message["From"], message["Message-ID"] = "ward@example.org", "<1@example.org>"
    assert "Right lower lobe" in texts(message.as_bytes(), "a.eml")[0][0]


OLE = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500)
ROW = "Impression: Right lower lobe pneumonia in the left hand export."


def rezipped(content, change):
    "A ZIP with each member as `change` makes it."
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return zipped([(m.filename, change(m.filename, archive.read(m))) for m in archive.infolist()])


def entities(name, content):
    "A document whose few entities unfold to gigabytes."
    if name != "word/document.xml": return content
    nested = "".join(f'<!ENTITY a{i} "{(f"&a{i - 1};" if i else "a") * 10}">' for i in range(9))
    return f'<!DOCTYPE x [{nested}]><w:document {nsdecls("w")}><w:body><w:p><w:r><w:t>&a8;</w:t></w:r></w:p></w:body></w:document>'


HOSTILE = {
    "locked.docx": (lambda: OLE + "EncryptedPackage".encode("utf-16-le"), "password-protected file: .*without a password"),
    "old.doc": (lambda: OLE + "WordDocument".encode("utf-16-le"), "unknown format: .*save it as DOCX"),
    "old-word.txt": (lambda: OLE, "unknown format: .*save it as DOCX"),
    "bomb.docx": (lambda: rezipped(word(), lambda name, content: content + b" " * 80_000_000 if name == "word/document.xml" else content), "zip bomb"),
    "entities.docx": (lambda: rezipped(word(), entities), "broken file"),
    "pages.tif": (lambda: pages_of_tiff(500), "too many pages: .*raise ingest.max_pages, or split it"),
    "cut.png": (lambda: saved(text_scan(*CHEST))[:2000], "broken image: .*scan or export it again"),
    "zero.pdf": (lambda: b"", "empty file"),
    "quotes.csv": (lambda: f'mrn,note\n1,"{ROW}\n2,"{ROW}"\n'.encode(), "broken CSV: .*export it again"),
    "cut.json": (lambda: json.dumps([{"text": ROW, "by": {"ward": "3"}}] * 9, indent=1).encode()[:-20], "broken JSON"),
}


def pages_of_tiff(number):
    page = Image.new("1", (100, 100), 1)
    page.save(buffer := io.BytesIO(), "TIFF", save_all=True, append_images=[page] * (number - 1))
    return buffer.getvalue()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_with_what_to_do_alone_and_in_a_zip(name):
    make, reason = HOSTILE[name]
    content = make()
    with pytest.raises(IngestError, match=reason): read_content(content, name)
    found, problems = texts(zipped([(name, content), ("a.txt", TEXT)], zipfile.ZIP_STORED), "a.zip")
    assert found == [TEXT] and len(problems) == 1 and "member 1: " in str(problems[0])


def test_one_bad_line_or_row_is_counted_and_loses_no_other():
    lines = "\n".join([json.dumps({"text": f"{ROW}\u2028One."}, ensure_ascii=False), '{"text": "cut', json.dumps({"note": "-", "text": f"{ROW} Two."}), "7"])
    found, problems = texts(lines.encode(), "a.jsonl")
    assert [f.split()[-1] for f in found] == ["One.", "Two."] and [str(p) for p in problems] == [f"broken JSON: line {n} is no whole object: export it again" for n in (2, 4)]
    found, problems = texts("\n".join([json.dumps(report(conclusion=TEXT)), '{"resourceType": ', json.dumps(report(conclusion=TEXT))]).encode(), "a.ndjson")
    assert len(found) == 2 and [p.kind for p in problems] == ["broken JSON"]
    found, problems = texts(f"mrn,note\n1,{ROW}\n2,Lungs clear, no effusion.\n3,It's {ROW},,\n".encode(), "a.csv")
    assert found == [ROW, f"It's {ROW}"] and [str(p) for p in problems] == ["broken CSV: row 2 has more cells than there are columns: export it again with its text in quotes"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_a_table_in_any_encoding_is_read(encoding):
    text = "Fièvre à 38,5 °C – “pneumonie” du lobe inférieur droit, señor Müller"
    assert texts(f'mrn;note\r\n1;"{text}"\r\n'.encode(encoding), "a.csv")[0] == [text]


def test_the_table_of_formats_lists_every_reader():
    from conftest import ROOT
    from medllm_nb.formats import READERS
    rows = [line.split("|")[1].strip(" `") for line in (ROOT / "nbs" / "02_formats.ipynb").read_text().replace('"', "\n").splitlines() if line.startswith("| `")]
    assert rows == list(READERS)


def with_files(content, *files, clip=None):
    "A PDF with files attached, and one by a paper clip on its page."
    import pypdfium2
    from pypdfium2 import raw
    document = pypdfium2.PdfDocument(content)
    for name, data in files:
        attached = document.new_attachment(name)
        if data: attached.set_data(data)
    if clip:
        page = document[0]
        note, name = raw.FPDFPage_CreateAnnot(page, raw.FPDF_ANNOT_FILEATTACHMENT), ctypes.create_string_buffer("clip.txt\0".encode("utf-16-le"))
        pypdfium2.PdfAttachment(raw.FPDFAnnot_AddFileAttachment(note, ctypes.cast(name, raw.FPDF_WIDESTRING)), document).set_data(clip)
        raw.FPDFPage_CloseAnnot(note)
    document.save(buffer := io.BytesIO())
    return buffer.getvalue()


def test_files_attached_to_a_pdf_are_read_and_the_pdf_keeps_its_id(tmp_path):
    portfolio = with_files(pdf(), ("letter.txt", TEXT.encode() + b" Again."), ("data.bin", bytes(range(99))))
    reports, problems = reports_of(tmp_path, "a.pdf", portfolio)
    assert [(r.format, r.source) for r in reports] == [("pdf", "a.pdf#0"), ("txt", "a.pdf#1")] and [str(p)[:29] for p in problems] == ["unknown format: attachment 1:"]
    (plain,), _ = reports_of(tmp_path, "a.pdf", bare := pdf())
    assert plain.source == "a.pdf" and plain.report_id == content_id(bare) and reports[0].report_id == content_id(portfolio)
    (alone,), _ = reports_of(tmp_path, "letter.txt", TEXT.encode() + b" Again.")
    assert alone.report_id == reports[1].report_id
    assert texts(with_files(pdf(), clip=TEXT.encode() + b" Clipped."), "a.pdf")[0][-1] == TEXT + " Clipped."
    found, problems = texts(with_files(pdf(), ("none.txt", b"")), "a.pdf")
    assert found == [TEXT] and [p.kind for p in problems] == ["empty file"]


def scanned_pdf():
    return drawn(lambda canvas: [(canvas.drawImage(ImageReader(text_scan(*CHEST)), 0, 420, 595, 336), canvas.showPage()) for _ in range(2)])


SCANS = {"a.png": (lambda: saved(text_scan(*CHEST)), "image", 1), "a.jpg": (lambda: saved(text_scan(*CHEST), "JPEG"), "image", 1),
         "a.tiff": (lambda: two_pages(), "image", 2), "a.pdf": (scanned_pdf, "scan-pdf", 2)}


def two_pages():
    text_scan(*CHEST).save(buffer := io.BytesIO(), "TIFF", save_all=True, append_images=[text_scan(*CHEST)], compression="tiff_lzw")
    return buffer.getvalue()


@pytest.mark.parametrize("name", SCANS)
def test_each_kind_of_scan_is_read_page_by_page(name, tmp_path):
    make, kind, pages = SCANS[name]
    (read,), problems = reports_of(tmp_path, name, make())
    assert (read.format, read.pages, read.ocr_pages) == (kind, pages, list(range(1, pages + 1))) and not problems
    assert read.text.count("left lower lobe") == pages


def test_the_boxes_lists_and_remarks_of_a_word_form_are_read():
    document = docx.Document()
    field = lambda data: f"<w:r {nsdecls('w')}><w:fldChar w:fldCharType='begin'><w:ffData>{data}</w:ffData></w:fldChar></w:r>"
    for text, data in (("Pneumonia ", "<w:checkBox><w:default w:val='0'/><w:checked/></w:checkBox>"), ("Effusion ", "<w:checkBox><w:default w:val='0'/></w:checkBox>"),
                       ("Nodule ", "<w:checkBox><w:default w:val='1'/><w:checked w:val='0'/></w:checkBox>"), ("Severity: ", "<w:ddList><w:result w:val='1'/><w:listEntry w:val='mild'/><w:listEntry w:val='severe'/></w:ddList>")):
        document.add_paragraph(text)._p.append(parse_xml(field(data)))
    document.add_comment(document.paragraphs[0].runs, text="Compare with 2019.", author="x")
    document.save(buffer := io.BytesIO())
    assert texts(buffer.getvalue(), "a.docx")[0][0].split("\n") == ["Pneumonia [x]", "Effusion [ ]", "Nodule [ ]", "Severity: severe", "Remark: Compare with 2019."]
