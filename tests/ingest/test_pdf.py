"PDFs and pictures: forms, stamps, attached files, scans, and text layers that cannot be used."

import io

import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from medllm_nb.core import content_id
from medllm_nb.ingest import (
    IngestError,
    read_content,
)

from made_files import (
    CHEST,
    TEXT,
    drawn,
    filled_form,
    pdf,
    reports_of,
    saved,
    text_scan,
    texts,
    two_pages,
    with_files,
)


def test_a_stamped_scan_is_read_by_ocr():
    scan = Image.new("L", (1240, 700), 255)
    for i, line in enumerate(
        ["CT chest shows a nodule of 9 mm", "in the left lower lobe.", "Follow up in three months is advised."]
    ):
        ImageDraw.Draw(scan).text((80, 80 + 70 * i), line, fill=0, font=ImageFont.load_default(40))
    canvas = Canvas(buffer := io.BytesIO(), pagesize=(595, 400))
    canvas.drawImage(ImageReader(scan), 0, 20, 595, 336)
    canvas.drawString(20, 385, "From: Springfield General Hospital Fax  14 March 2024 10:22  Page 1 of 2")
    canvas.save()
    text = texts(buffer.getvalue(), "a.pdf")[0][0]
    assert "nodule" in text and "Springfield" in text


def test_what_was_filled_in_a_pdf_stands_at_its_place_and_what_is_hidden_does_not():
    (text,), problems = texts(drawn(filled_form), "a.pdf")
    assert (
        text.split("\n")
        == [
            "Hemoglobin: 9.1 g/dL",
            "[x] left [ ] right",
            "Plan: Levofloxacin 500 mg",
            "Right lower lobe pneumonia.",
            "Remark: Compare with 2019.",
        ]
        and not problems
    )


def test_a_field_takes_nothing_of_the_column_beside_it():
    def form(canvas):
        canvas.drawString(50, 700, "Findings")
        canvas.acroForm.textfield(
            name="t", x=50, y=600, width=220, height=90, fieldFlags="multiline", value="Clear lungs."
        )
        for i in range(6):
            canvas.drawString(320, 690 - 14 * i, f"Right column {i}.")

    assert texts(drawn(form), "a.pdf")[0][0].split("\n")[:3] == ["Findings", "Clear lungs.", "Right column 0."]


def test_a_form_over_a_scan_and_a_form_without_print_are_read():
    def scanned(canvas):
        canvas.drawImage(ImageReader(text_scan(*CHEST)), 0, 420, 595, 336)
        canvas.acroForm.textfield(
            name="a.add", tooltip="Addendum", x=72, y=300, width=300, height=20, value="Compared with 2019: new."
        )
        canvas.textAnnotation("Call the ward.", Rect=[400, 300, 420, 320], addtopage=1)

    (text,), _ = texts(drawn(scanned), "a.pdf")
    assert "nodule" in text and text.count("Compared with 2019") == 1 and text.count("Call the ward.") == 1

    def bare(canvas):
        canvas.rect(10, 10, 20, 20)
        canvas.acroForm.textfield(
            name="Impression", x=72, y=600, width=300, height=20, value="Right lower lobe pneumonia, follow-up."
        )
        for y, name in ((500, "Smoker"), (470, "Diabetes")):
            canvas.acroForm.checkbox(name=name, checked=name == "Smoker", x=72, y=y, size=14)

    assert texts(drawn(bare), "a.pdf")[0] == ["Impression: Right lower lobe pneumonia, follow-up.\nSmoker: [x]"]


def test_a_form_that_only_adobe_shows_is_refused_with_what_to_do():
    xfa = b"""%PDF-1.7
1 0 obj <</Type/Catalog/Pages 2 0 R/NeedsRendering true/AcroForm<</Fields[]/XFA 4 0 R>>>> endobj
2 0 obj <</Type/Pages/Kids[3 0 R]/Count 1>> endobj
3 0 obj <</Type/Page/Parent 2 0 R/MediaBox[0 0 300 300]/Contents 5 0 R
/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>> endobj
4 0 obj <</Length 11>> stream
<xdp></xdp>
endstream endobj
5 0 obj <</Length 94>> stream
BT /F1 12 Tf 20 200 Td (Please wait. If this message is not eventually replaced, upgrade) Tj ET
endstream endobj
trailer <</Root 1 0 R/Size 6>>
%%EOF"""
    for form in (xfa, xfa.replace(b"/NeedsRendering true", b"")):
        with pytest.raises(IngestError, match="XFA form: .* print it to PDF"):
            read_content(form, "a.pdf")
    assert "Please wait" in texts(xfa.replace(b"/XFA 4 0 R", b""), "a.pdf")[0][0]


def test_files_attached_to_a_pdf_are_read_and_the_pdf_keeps_its_id(tmp_path):
    portfolio = with_files(pdf(), ("letter.txt", TEXT.encode() + b" Again."), ("data.bin", bytes(range(99))))
    reports, problems = reports_of(tmp_path, "a.pdf", portfolio)
    assert [(r.format, r.source) for r in reports] == [("pdf", "a.pdf#0"), ("txt", "a.pdf#1")]
    assert [str(p)[:29] for p in problems] == ["unknown format: attachment 1:"]
    (plain,), _ = reports_of(tmp_path, "a.pdf", bare := pdf())
    assert plain.source == "a.pdf" and plain.report_id == content_id(bare)
    assert reports[0].report_id == content_id(portfolio)
    (alone,), _ = reports_of(tmp_path, "letter.txt", TEXT.encode() + b" Again.")
    assert alone.report_id == reports[1].report_id
    assert texts(with_files(pdf(), clip=TEXT.encode() + b" Clipped."), "a.pdf")[0][-1] == TEXT + " Clipped."
    found, problems = texts(with_files(pdf(), ("none.txt", b"")), "a.pdf")
    assert found == [TEXT] and [p.kind for p in problems] == ["empty file"]


def scanned_pdf():
    def twice(canvas):
        for _ in range(2):
            canvas.drawImage(ImageReader(text_scan(*CHEST)), 0, 420, 595, 336)
            canvas.showPage()

    return drawn(twice)


SCANS = {
    "a.png": (lambda: saved(text_scan(*CHEST)), "image", 1),
    "a.jpg": (lambda: saved(text_scan(*CHEST), "JPEG"), "image", 1),
    "a.tiff": (two_pages, "image", 2),
    "a.pdf": (scanned_pdf, "scan-pdf", 2),
}


@pytest.mark.parametrize("name", SCANS)
def test_each_kind_of_scan_is_read_page_by_page(name, tmp_path):
    make, kind, pages = SCANS[name]
    (read,), problems = reports_of(tmp_path, name, make())
    assert (read.format, read.pages, read.ocr_pages) == (kind, pages, list(range(1, pages + 1))) and not problems
    assert read.text.count("left lower lobe") == pages
