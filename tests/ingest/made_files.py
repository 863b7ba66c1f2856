"Files of every format, made where they are needed, and how the tests read them."

import base64
import ctypes
import email.message
import email.mime.application
import email.mime.image
import email.mime.multipart
import email.mime.text
import io
import json
import struct
import zipfile
import zlib
from email import policy

import docx
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from reportlab.pdfgen.canvas import Canvas

from medllm_nb.ingest import (
    IngestParams,
    read_content,
    read_file,
)


NAME = "Zwingli-Okonkwo"


TEXT = f"Patient: {NAME}, Ana\nMRN: 00451234\nImpression: Right lower lobe pneumonia, follow-up in six weeks."


def pdf(text=TEXT, **options):
    buffer = io.BytesIO()
    canvas = Canvas(buffer, **options)
    for i, line in enumerate(text.splitlines()):
        canvas.drawString(72, 720 - 16 * i, line)
    canvas.save()
    return buffer.getvalue()


def png(width, height):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


def scan(number=None):
    image = Image.new("L", (1200, 400), 255)
    for i, line in enumerate([*TEXT.splitlines(), *([] if number is None else [f"Report number {number}."])]):
        ImageDraw.Draw(image).text((40, 40 + 70 * i), line, fill=0, font=ImageFont.load_default(36))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


QUICK = IngestParams(max_pages=3, ocr_timeout_s=10)


def zipped(members, compress=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compress) as archive:
        for name, content in members:
            archive.writestr(name, content)
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
    if body:
        message.set_content(body)
    for name, content in attachments:
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes()


def hl7(*segments, kind="ORU^R01"):
    head = [
        rf"MSH|^~\&|LAB|CLINIC|||20240305||{kind}|1|P|2.5",
        f"PID|1||00451234^^^C^MR||{NAME.upper()}^ANA||19500314|F",
    ]
    return "\r".join([*head, *segments, ""]).encode()


def fhir(*resources):
    return json.dumps(
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": r} for r in resources]}
    ).encode()


def report(**fields):
    return {
        "resourceType": "DiagnosticReport",
        "id": "r",
        "status": "final",
        "code": {"text": "Chest radiograph"},
        **fields,
    }


def form(content, kind="application/pdf"):
    return {"contentType": kind, "data": base64.b64encode(content).decode()}


def document(*attachments):
    "A FHIR DocumentReference: its text is in its attachments alone."
    return {
        "resourceType": "DocumentReference",
        "id": "d",
        "status": "current",
        "type": {"text": "Letter"},
        "subject": {"reference": "Patient/p"},
        "content": [{"attachment": a} for a in attachments],
    }


PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "name": [{"family": NAME, "given": ["Ana"]}],
    "birthDate": "1950-03-14",
    "identifier": [{"value": "00451234"}],
}


def dicom(**values):
    dataset = Dataset()
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = f"{NAME.upper()}^ANA", "00451234", "19500314"
    for key, value in values.items():
        setattr(dataset, key, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = (
        "1.2.840.10008.5.1.4.1.1.104.1",
        "1.2.3",
    )
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def text_item(text):
    item = Dataset()
    item.ValueType, item.TextValue = "TEXT", text
    return item


OBX = "OBX|1|FT|IMP^Impression||Right lower lobe pneumonia, follow-up in six weeks.||||||F"


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


def part(text, kind="plain", name=None):
    made = email.mime.text.MIMEText(text, kind)
    if name:
        made.add_header("Content-Disposition", "attachment", filename=name)
    return made


def around(kind, *parts, **params):
    made = email.mime.multipart.MIMEMultipart(kind, **params)
    for inner in parts:
        made.attach(inner)
    return made


def bundle(*resources):
    return json.dumps(
        {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"fullUrl": f"http://s/{r['resourceType']}/{r['id']}", "resource": r} for r in resources],
        }
    ).encode()


def drawn(make):
    "A PDF of one page as `make` draws it."
    canvas = Canvas(buffer := io.BytesIO(), pagesize=(595, 842))
    make(canvas)
    canvas.save()
    return buffer.getvalue()


def text_scan(*lines, size=(1240, 700)):
    scan = Image.new("L", size, 255)
    for i, line in enumerate(lines):
        ImageDraw.Draw(scan).text((80, 80 + 70 * i), line, fill=0, font=ImageFont.load_default(40))
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
    canvas.highlightAnnotation(
        "Right lower lobe pneumonia.",
        Rect=[70, 595, 260, 612],
        QuadPoints=[70, 612, 260, 612, 70, 595, 260, 595],
        addtopage=1,
    )
    canvas.textAnnotation("Compare with 2019.", Rect=[500, 600, 520, 620], addtopage=1)


def pasted_mail(*pictures, octets=False):
    "A mail whose HTML shows pictures by their content id."
    page = part("<p>See the scan." + "".join(f"<img src='cid:p{i}'>" for i in range(len(pictures))), "html")
    shown = []
    for number, picture in enumerate(pictures):
        made = (
            email.mime.application.MIMEApplication(picture, name=f"image{number}.png")
            if octets
            else email.mime.image.MIMEImage(picture, "png")
        )
        made["Content-ID"] = f"<p{number}>"
        made.add_header("Content-Disposition", "inline")
        shown.append(made)
    message = around("related", around("alternative", part("See the scan."), page), *shown)
    message["From"], message["Message-ID"] = "ward@example.org", "<1@example.org>"
    return message.as_bytes()


def with_files(content, *files, clip=None):
    "A PDF with files attached, and one by a paper clip on its page."
    import pypdfium2
    from pypdfium2 import raw

    document = pypdfium2.PdfDocument(content)
    for name, data in files:
        attached = document.new_attachment(name)
        if data:
            attached.set_data(data)
    if clip:
        page = document[0]
        note = raw.FPDFPage_CreateAnnot(page, raw.FPDF_ANNOT_FILEATTACHMENT)
        name = ctypes.create_string_buffer("clip.txt\0".encode("utf-16-le"))
        attached = raw.FPDFAnnot_AddFileAttachment(note, ctypes.cast(name, raw.FPDF_WIDESTRING))
        pypdfium2.PdfAttachment(attached, document).set_data(clip)
        raw.FPDFPage_CloseAnnot(note)
    document.save(buffer := io.BytesIO())
    return buffer.getvalue()


def picture():
    buffer = io.BytesIO()
    Image.new("L", (60, 40), 255).save(buffer, "TIFF", save_all=True, append_images=[Image.new("L", (60, 40), 200)])
    return buffer.getvalue()


def pages_of_tiff(number):
    page = Image.new("1", (100, 100), 1)
    page.save(buffer := io.BytesIO(), "TIFF", save_all=True, append_images=[page] * (number - 1))
    return buffer.getvalue()


def two_pages():
    text_scan(*CHEST).save(
        buffer := io.BytesIO(), "TIFF", save_all=True, append_images=[text_scan(*CHEST)], compression="tiff_lzw"
    )
    return buffer.getvalue()


def texts(content, name):
    "The text of each page of a file's reports, and its problems."
    contents = read_content(content, name)
    return [page.text for report in contents.reports for page in report.pages], contents.problems


def reports_of(tmp_path, name, content):
    "Reports and problems of a file that lies on the disk."
    path = tmp_path / name
    path.write_bytes(content)
    return read_file(path, QUICK)
