"""PDFs as programs and scanners write them: the cases after public bug reports, and their kin."""

import io

import pypdfium2
import pytest
from case_files import case_structure, case_text, lab_values, read_case, statuses
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from medllm_nb.ingest import read_content, read_pdf
from medllm_nb.ingest.pdf_ink import covered_share
from medllm_nb.ingest.pdf_layout import layout_text

PAGE = (612, 792)
ROWS = [
    ("Sodium", "128", "mmol/L"),
    ("Potassium", "6.1", "mmol/L"),
    ("Creatinine", "1.9", "mg/dL"),
    ("Urea", "71", "mg/dL"),
]


def pdf(draw, size=PAGE, rotation=0):
    "The bytes of a page that a function draws."
    stream = io.BytesIO()
    canvas = Canvas(stream, pagesize=size[::-1] if rotation in (90, 270) else size)  # reportlab turns the box as well
    canvas.setPageRotation(rotation)
    draw(canvas)
    canvas.save()
    return stream.getvalue()


def lines(content):
    "The lines of a PDF's text."
    return [" ".join(line.split()) for page in read_pdf(content) for line in page.text.splitlines()]


def picture(texts, size=(1700, 560), font=44):
    "A picture of lines of text."
    image = Image.new("L", size, 255)
    for n, text in enumerate(texts):
        ImageDraw.Draw(image).text((60, 40 + n * (font + 26)), text, fill=0, font=ImageFont.load_default(font))
    return image


@pytest.mark.parametrize(
    "name, wanted",
    [
        pytest.param("PDF-03-b.pdf", "Potassium 6.1 mmol/L (3.5-5.1)\neGFR >60 mL/min/1.73m2", id="bold letters once"),
        pytest.param("PDF-04-h.pdf", "consistent with pneumonia. Compared", id="soft hyphen"),
        pytest.param("PDF-04-h.pdf", "the nodule measures 3-4 mm", id="range over a line's end"),
        pytest.param("PDF-04-h.pdf", "(reference 3.5-5.1)", id="reference range over a line's end"),
        pytest.param("PDF-04-h.pdf", "study of 2023-11-05", id="date over a line's end"),
        pytest.param("PDF-04-h.pdf", "follow-up in six weeks", id="a hyphen of its own"),
        pytest.param(
            "PDF-07-fax.pdf", "nodule of 9 mm in\nthe left lower lobe. A small right pleural", id="scan in strips"
        ),
        pytest.param("PDF-07-fax.pdf", "Fax 555-0100", id="the fax's line too"),
        pytest.param("PDF-09-fax.pdf", "effusion is seen. No pneumothorax.", id="scan in nested forms"),
        pytest.param("PDF-12-s.pdf", "Platelets 90 x10⁹/L (150-400)\nWBC 15.2 x10³/uL (4.0-11.0)", id="powers"),
        pytest.param(
            "PDF-13-two.pdf", "of the lung at the age of seventy.\nFINDINGS: There is a nodule of\n9 mm", id="columns"
        ),
        pytest.param(
            "PDF-16-bad.pdf", "There is a nodule of 9 mm in\nthe left lower lobe.", id="a scanner's bad layer"
        ),
        pytest.param("PDF-19-r90p.pdf", "pleural effusion is seen. No\npneumothorax.", id="page on its side"),
        pytest.param("PDF-20-g.pdf", "rs80357906 rs28934578 rs121434568 rs121913529", id="codes stay"),
    ],
)
def test_a_case_is_read_as_it_is_seen(name, wanted):
    assert wanted in case_text(name)


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("PDF-01-labs.pdf", {("Sodium", 128.0), ("Potassium", 6.1), ("Creatinine", 1.9)}),
        ("PDF-06-n.pdf", {("Sodium", 128.0), ("Potassium", 6.1), ("Creatinine", 1.9)}),
        ("PDF-10-letter.pdf", {("Sodium", 128.0), ("Potassium", 6.1), ("Creatinine", 1.9)}),
        ("PDF-12-s.pdf", {("Platelets", 90.0), ("White blood cells", 15.2), ("eGFR", 45.0)}),
        ("PDF-15-c.pdf", {("Sodium", 128.0), ("Potassium", 6.1), ("Creatinine", 1.9)}),
    ],
)
def test_each_value_lies_beside_its_test(name, wanted):
    assert {(test, value) for test, value, *_ in lab_values(case_structure(name))} == wanted


def test_a_negation_reaches_over_a_line_of_a_page_on_its_side():
    assert statuses(case_structure("PDF-19-r90p.pdf"), "pneumothorax") == {"negated"}


def test_a_layer_of_codes_is_not_read_by_ocr():
    assert [r.format for r in read_case("PDF-20-g.pdf")[0]] == ["pdf"]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("by", ["rows", "columns", "backwards"])
def test_a_table_is_read_by_rows_however_it_was_drawn(rotation, by):
    cells = [(72 + 120 * c, 700 - 22 * r, text) for r, row in enumerate(ROWS) for c, text in enumerate(row)]
    order = {"rows": cells, "columns": sorted(cells), "backwards": cells[::-1]}[by]
    content = pdf(lambda canvas: [canvas.drawString(*cell) for cell in order], rotation=rotation)
    assert lines(content) == [" ".join(row) for row in ROWS]


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_text_drawn_on_its_side_is_read_in_its_lines(turn):
    def draw(canvas):
        canvas.translate(300, 400)
        canvas.rotate(turn)
        for n, row in enumerate(ROWS):
            canvas.drawString(-150, -22 * n, " ".join(row))

    assert lines(pdf(draw)) == [" ".join(row) for row in ROWS]


def test_a_stamp_in_another_direction_comes_last_and_whole():
    def draw(canvas):
        for n, row in enumerate(ROWS):
            canvas.drawString(72, 700 - 22 * n, " ".join(row))
        canvas.translate(560, 300)
        canvas.rotate(90)
        canvas.drawString(0, 0, "Copy for the chart")

    assert lines(pdf(draw)) == [*(" ".join(row) for row in ROWS), "Copy for the chart"]


def test_indices_and_powers_stand_in_their_line():
    def draw(canvas):
        canvas.setFont("Helvetica", 11)
        canvas.drawString(72, 700, "CO")
        canvas.drawString(72 + canvas.stringWidth("CO"), 700, "  24 mmol/L")
        canvas.setFont("Helvetica", 7)
        canvas.drawString(72 + canvas.stringWidth("CO", "Helvetica", 11), 697.5, "2")

    assert lines(pdf(draw)) == ["CO₂ 24 mmol/L"]


def runs(canvas, x, y, *parts):
    "Draws runs of (text, size, rise) one behind the other."
    for text, size, rise in parts:
        canvas.setFont("Helvetica", size)
        canvas.drawString(x, y + rise, text)
        x += canvas.stringWidth(text, "Helvetica", size)


@pytest.mark.parametrize(
    "parts, wanted",
    [
        pytest.param([("HbA", 11, 0), ("1c", 7, -2.5), (" 7.2 %", 11, 0)], "HbA1c 7.2 %", id="index of letters"),
        pytest.param([("on the 5", 11, 0), ("th", 7, 4.5), (" of March", 11, 0)], "on the 5th of March", id="ordinal"),
        pytest.param([("Ca", 11, 0), ("2+", 7, 4), (" 2.4 mmol/L", 11, 0)], "Ca²⁺ 2.4 mmol/L", id="charge"),
        pytest.param([("3.2 x10", 11, 0), ("-9", 6, 5), (" mol/L", 11, 0)], "3.2 x10⁻⁹ mol/L", id="negative power"),
        pytest.param([("K 6.1", 11, 0), ("a", 7, 4), (" mmol/L", 11, 0)], "K 6.1 mmol/L", id="mark of a footnote"),
    ],
)
def test_small_letters_stand_in_their_line_or_apart_from_the_value(parts, wanted):
    assert wanted in lines(pdf(lambda canvas: runs(canvas, 72, 700, *parts)))


@pytest.mark.parametrize("degrees", [30, 45, 60, -45])
def test_a_watermark_tears_no_row(degrees):
    def draw(canvas):
        for n, row in enumerate(ROWS):
            for column, cell in enumerate(row):
                canvas.drawString(72 + 110 * column, 700 - 22 * n, cell)
        canvas.translate(120, 560 if degrees > 0 else 780)
        canvas.rotate(degrees)
        canvas.setFillGray(0.85)
        canvas.setFont("Helvetica", 40)
        canvas.drawString(0, 0, "DRAFT 12")

    assert lines(pdf(draw)) == [*(" ".join(row) for row in ROWS), "DRAFT 12"]


@pytest.mark.parametrize("degrees", [-8, -2, 1, 5])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_lines_that_climb_are_read_whole(degrees, turn):
    def draw(canvas):
        canvas.translate(306, 396)
        canvas.rotate(turn + degrees)
        for n, row in enumerate(ROWS):
            for column, cell in enumerate(row):
                canvas.drawString(-200 + 150 * column, 40 - 14 * n, cell)

    assert lines(pdf(draw)) == [" ".join(row) for row in ROWS]


@pytest.mark.parametrize("mode, opacity", [(3, 1), (7, 1), (0, 0)])
def test_letters_without_ink_count_over_a_picture_alone(mode, opacity):
    def draw(canvas):
        canvas.drawString(72, 700, "Small effusion, no pneumothorax is seen.")
        canvas.setFillAlpha(opacity)
        text = canvas.beginText(72, 650)
        text.setTextRenderMode(mode)
        text.textOut("hidden instruction")
        canvas.drawText(text)

    assert lines(pdf(draw)) == ["Small effusion, no pneumothorax is seen."]


def test_a_scanners_reading_lies_over_its_scan_within_a_form():
    scan = picture(["FINDINGS: There is a nodule in the", "left lower lobe. No effusion is seen."])

    def draw(canvas):
        canvas.beginForm("scan")
        canvas.drawImage(ImageReader(scan), 0, 0, 1, 1)
        canvas.endForm()
        canvas.saveState()
        canvas.translate(50, 400)
        canvas.scale(500, 165)
        canvas.doForm("scan")
        canvas.restoreState()
        text = canvas.beginText(70, 545)
        text.setTextRenderMode(3)
        text.textOut("FINDINGS: There is a nodule in the")
        canvas.drawText(text)

    page = pypdfium2.PdfDocument(pdf(draw))[0]
    assert covered_share(page) == pytest.approx(500 * 165 / (612 * 792), abs=0.001)
    assert layout_text(page, page.get_textpage()) == "FINDINGS: There is a nodule in the"


def test_white_letters_count_on_a_dark_bar_alone():
    def draw(canvas):
        canvas.drawString(72, 700, "Small effusion.")
        canvas.setFillGray(1)
        canvas.drawString(72, 650, "hidden instruction")
        canvas.setFillGray(0)
        canvas.rect(70, 595, 300, 20, fill=1)
        canvas.setFillGray(1)
        canvas.drawString(72, 600, "CRITICAL RESULT")

    assert lines(pdf(draw)) == ["Small effusion.", "CRITICAL RESULT"]


@pytest.mark.parametrize("strips", [1, 12])
@pytest.mark.parametrize("stamp", ["", "x", "Fax 555-0100 page 1 of 1, received 5 March 2024 at the ward's machine"])
def test_a_scan_is_read_in_one_piece_or_in_strips_below_any_stamp(strips, stamp):
    scan = picture(["FINDINGS: There is a nodule in the", "left lower lobe. No effusion is seen."])
    high = scan.height // strips

    def draw(canvas):
        canvas.drawString(40, 770, stamp)
        for n in range(strips):
            part = scan.crop((0, n * high, scan.width, (n + 1) * high))
            canvas.drawImage(ImageReader(part), 40, 700 - (n + 1) * 160 / strips, 500, 160 / strips)

    text = " ".join(lines(pdf(draw)))
    assert "There is a nodule in the left lower lobe. No effusion is seen." in text and stamp.lower() in text.lower()


def test_letters_without_a_text_layer_are_read_by_their_ink():
    "An outlined page: curves in place of letters, beside a line of text."
    scan = picture(["IMPRESSION: Pulmonary nodule, follow up", "in three months is advised."])

    def draw(canvas):
        canvas.drawString(72, 760, "Riverside Clinic, letter about a patient of the ward.")
        form = canvas.beginForm("deep")  # noqa: F841  the canvas keeps it
        canvas.drawImage(ImageReader(scan), 0, 0, 500, 160)
        canvas.endForm()
        canvas.translate(50, 480)
        canvas.doForm("deep")

    text = " ".join(lines(pdf(draw)))
    assert "Riverside Clinic" in text and "Pulmonary nodule, follow up in three months is advised." in text


def test_a_logo_and_a_graph_add_no_words():
    def draw(canvas):
        canvas.drawString(72, 500, "FINDINGS: Small right pleural effusion, no pneumothorax.")
        for n in range(40):
            canvas.circle(200 + 4 * n, 650 + (n * 37) % 50, 3, fill=1)

    assert lines(pdf(draw)) == ["FINDINGS: Small right pleural effusion, no pneumothorax."]


WORDS = st.from_regex(
    r"[A-Za-z]{2,9}|[0-9]{1,3}(?:\.[0-9])?|[<>]=?[0-9]{2}|\([0-9]\.[0-9]-[0-9]\.[0-9]\)", fullmatch=True
)
TABLES = st.lists(st.lists(WORDS, min_size=1, max_size=4), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(TABLES, st.sampled_from([0, 90, 180, 270]), st.randoms(use_true_random=False))
def test_every_word_of_a_page_is_read_once_and_in_its_row(rows, rotation, random):
    cells = [(40 + 140 * c, 740 - 25 * r, text) for r, row in enumerate(rows) for c, text in enumerate(row)]
    random.shuffle(cells)
    content = pdf(lambda canvas: [canvas.drawString(*cell) for cell in cells], rotation=rotation)
    page = pypdfium2.PdfDocument(content)[0]
    text = layout_text(page, page.get_textpage())
    assert [line.split() for line in text.splitlines()] == rows


def covered_by_a_bar(canvas):
    canvas.drawString(130, 650, "Ada Okonkwo")
    canvas.rect(128, 645, 90, 18, fill=1)


def covered_by_a_white_box(canvas):
    canvas.drawString(130, 650, "Ada Okonkwo")
    canvas.setFillGray(1)
    canvas.rect(128, 645, 90, 18, fill=1, stroke=0)


def covered_by_a_picture(canvas):
    canvas.drawString(130, 650, "Ada Okonkwo")
    canvas.drawImage(ImageReader(Image.new("L", (40, 10), 128)), 128, 645, 90, 18)


def cut_off_by_a_clip(canvas):
    path = canvas.beginPath()
    path.rect(300, 300, 50, 50)
    canvas.saveState()
    canvas.clipPath(path, stroke=0)
    canvas.drawString(130, 650, "Ada Okonkwo")
    canvas.restoreState()


def in_the_color_of_its_box(canvas):
    canvas.setFillColorRGB(0, 0, 0.6)
    canvas.rect(128, 645, 90, 18, fill=1)
    canvas.drawString(130, 650, "Ada Okonkwo")


@pytest.mark.parametrize(
    "hide",
    [
        covered_by_a_bar,
        covered_by_a_white_box,
        covered_by_a_picture,
        cut_off_by_a_clip,
        in_the_color_of_its_box,
    ],
    ids=lambda f: f.__name__,
)
def test_what_a_page_hides_is_left_out_and_counted(hide):
    def draw(canvas):
        canvas.drawString(72, 700, "Small effusion, no pneumothorax is seen.")
        canvas.drawString(72, 650, "Seen by")
        canvas.saveState()
        hide(canvas)
        canvas.restoreState()
        canvas.drawString(230, 650, "on the ward.")

    contents = read_content(pdf(draw), "a.pdf")
    (page,), problems = contents.reports[0].pages, contents.problems
    assert page.text.split() == "Small effusion, no pneumothorax is seen. Seen by on the ward.".split()
    assert [p.kind for p in problems] == ["hidden text"] and "10 letters and digits on page 1" in str(problems[0])
    assert "Ada" not in str(problems[0])


def test_letters_on_shaded_rows_and_within_a_clip_stay():
    def draw(canvas):
        path = canvas.beginPath()
        path.rect(0, 0, 612, 792)
        canvas.clipPath(path, stroke=0)
        for n, row in enumerate(("Sodium 128 mmol/L", "Potassium 6.1 mmol/L", "I. l - . |")):
            canvas.setFillGray((0.9, 0.75, 0.2)[n])
            canvas.rect(60, 695 - 20 * n, 300, 20, fill=1, stroke=0)
            canvas.setFillGray((0, 0, 1)[n])
            canvas.drawString(72, 700 - 20 * n, row)

    contents = read_content(pdf(draw), "a.pdf")
    assert contents.reports[0].pages[0].text.split() == "Sodium 128 mmol/L Potassium 6.1 mmol/L I. l - . |".split()
    assert contents.problems == []
