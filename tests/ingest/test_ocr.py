"Pages turned, in columns, in tables and blank; PDFs with text layers that cannot be used."

import io

import pytest
from PIL import Image, ImageDraw, ImageFont
from reportlab.pdfgen.canvas import Canvas

from medllm_nb.core import lab_tests
from medllm_nb.ingest import (
    IngestError,
    IngestParams,
    character_error_rate,
    ocr_page,
    prepare_image,
    read_pdf,
    usable_text,
)
from medllm_nb.ingest.ocr import find_columns

LINES = [
    "POTASSIUM 5.9 mmol/L (3.5-5.1) HIGH",
    "Creatinine 1.1 mg/dL (0.6-1.3)",
    "Impression: mild hyperkalemia.",
    "Repeat the sample in two days.",
] * 3
LEFT = [
    "Right lower lobe opacity",
    "with small effusion, no",
    "pneumothorax. The heart",
    "size is normal for age and",
    "the bones are intact here.",
    "No nodule or mass is seen.",
] * 2
RIGHT = [
    "Hemoglobin was normal and",
    "sodium slightly low, with",
    "normal potassium. Repeat",
    "the sample within a week,",
    "and review the diuretic",
    "dose in clinic next month.",
] * 2


def page(*columns, height=900):
    image = Image.new("L", (1240, height), 255)
    for left, top, lines in columns:
        for i, line in enumerate(lines):
            ImageDraw.Draw(image).text((left, top + 54 * i), line, fill=15, font=ImageFont.load_default(34))
    return image


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_page_is_read_whichever_way_it_lies(degrees):
    read = ocr_page(page((80, 60, LINES)).rotate(degrees, expand=True))
    assert character_error_rate(read.text, " ".join(LINES)) < 0.03 and read.confidence > 80


def test_two_columns_below_a_heading_are_read_one_after_the_other():
    image = page((80, 40, ["RADIOLOGY REPORT OF THE CHEST AND LABORATORY RESULTS"]), (80, 140, LEFT), (660, 140, RIGHT))
    truth = " ".join(["RADIOLOGY REPORT OF THE CHEST AND LABORATORY RESULTS", *LEFT, *RIGHT])
    assert character_error_rate(ocr_page(image).text, truth) < 0.03


@pytest.mark.parametrize("left", [380, 520, 660, 800])
def test_a_lab_table_keeps_its_rows(left):
    names = list(lab_tests())[:14]
    table = page((80, 60, names), (left + 120, 60, [f"{i}.5 mmol/L (1-9)" for i in range(14)]))
    assert find_columns(prepare_image(table)) is None
    lines = ocr_page(table).text.splitlines()
    assert len(lines) == 14
    whole = [name.split()[0] in line and f"{i}.5" in line for i, (name, line) in enumerate(zip(names, lines))]
    assert sum(whole) >= 13


def test_a_blank_page_and_a_speck_are_no_text():
    assert ocr_page(Image.new("L", (400, 500), 255)).text == ""
    assert ocr_page(Image.new("1", (1, 1))).text == ""
    with pytest.raises(IngestError, match="image too large"):
        ocr_page(Image.new("1", (3000, 3000)), IngestParams(max_megapixels=1))


def test_a_good_text_layer_stays_and_pictures_beside_it_are_read():
    text = "Impression: Right lower lobe pneumonia with a small effusion. Repeat the radiograph in six weeks."
    buffer = io.BytesIO()
    shifted = "".join(chr(ord(c) - 29) if c.isalpha() else c for c in text)
    assert usable_text(text) and not usable_text(shifted)
    canvas = Canvas(buffer)
    for layer in (text, shifted, ""):
        canvas.drawString(20, 800, layer)
        canvas.drawInlineImage(page((80, 60, LINES)), 40, 300, 500, 363)
        canvas.showPage()
    canvas.save()
    pages = read_pdf(buffer.getvalue())
    assert [text in p.text for p in pages] == [True, False, False]
    assert all("Creatinine 1.1 mg/dL" in p.text and p.confidence for p in pages)


def test_a_page_whose_ink_lies_mostly_outside_the_words_goes_to_review():
    written = page((80, 60, LINES), height=1500)
    assert ocr_page(written).confidence >= IngestParams().review_below
    draw = ImageDraw.Draw(written)
    for n in range(14):  # a drawing
        draw.line((120 + 70 * n, 1460, 240 + 60 * n, 760 - 9 * n % 30), fill=0, width=16)
        draw.line((120 + 70 * n, 760, 200 + 60 * n, 1470), fill=0, width=16)
    assert ocr_page(written).confidence < IngestParams().review_below
