"Pictures as clinics send them: tables drawn with rules, pixels of every kind, dark and small ones."

import io
from random import Random

import numpy as np
import pytest
from case_files import case_structure, case_text, lab_values
from PIL import Image, ImageDraw, ImageFont

from medllm_nb.ingest import IngestError, read_content, read_image
from medllm_nb.ingest.formats import file_kind

LABS = {
    ("Sodium", 128.0, "mmol/L", "low"),
    ("Potassium", 6.1, "mmol/L", "high"),
    ("Creatinine", 1.9, "mg/dL", "high"),
    ("Glucose", 210.0, "mg/dL", "high"),
}
FONTS = "/usr/share/fonts/truetype/dejavu/DejaVu"


@pytest.mark.parametrize(
    "case, words",
    [
        pytest.param("OCR-01-s.png", ["nodule", "pleural", "pneumothorax"], id="OCR-01"),
        pytest.param("OCR-03-s.tif", ["nodule", "pleural", "pneumothorax"], id="OCR-03"),
        pytest.param("OCR-04-dark.png", ["nodule", "pleural", "pneumothorax"], id="OCR-04"),
        pytest.param("OCR-07-small.png", ["nodule", "pleural", "pneumothorax"], id="OCR-07"),
        pytest.param("OCR-09-a.png", ["nodule", "pleural", "pneumothorax"], id="OCR-09"),
        pytest.param("OCR-10-h.png", ["nodule", "pleural", "CRITICAL", "Potassium"], id="OCR-10"),
    ],
)
def test_the_text_of_a_picture_is_read(case, words):
    text = case_text(case)
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("case", [pytest.param("OCR-06-t.png", id="OCR-06"), pytest.param("OCR-12-t.pdf", id="OCR-12")])
def test_each_value_of_a_ruled_table_stands_with_its_test(case):
    assert lab_values(case_structure(case)) == LABS


def letter(ground=255, ink=0):
    page = Image.new("L", (1300, 360), ground)
    for line, text in enumerate(("IMPRESSION: Iron deficiency anemia.", "Ferritin 8 ng/mL, hemoglobin 9.1 g/dL.")):
        ImageDraw.Draw(page).text((80, 80 + 90 * line), text, fill=ink, font=ImageFont.truetype(FONTS + "Sans.ttf", 40))
    return page


def transparent(page, ink):
    return Image.merge("LA", (Image.new("L", page.size, ink), page.point(lambda v: 255 - v)))


def palette_with_clear_ground():
    page = letter().convert("P")
    page.info["transparency"] = int(np.asarray(page)[0, 0])
    return page


PIXELS = {
    "16 bit, narrow range": lambda: (Image.fromarray(np.asarray(letter()).astype("uint16") * 16), "TIFF"),
    "32 bit float": lambda: (Image.fromarray(np.asarray(letter()).astype("float32") / 255), "TIFF"),
    "white on a clear ground": lambda: (transparent(letter(), 255), "PNG"),
    "black on a clear ground": lambda: (transparent(letter(), 0), "PNG"),
    "palette with a clear ground": lambda: (palette_with_clear_ground(), "PNG"),
    "light on dark": lambda: (letter(30, 230), "PNG"),
    "CMYK": lambda: (letter().convert("RGB").convert("CMYK"), "JPEG"),
    "1 bit": lambda: (letter().convert("1"), "PNG"),
    "BMP": lambda: (letter().convert("RGB"), "BMP"),
    "GIF": lambda: (letter(), "GIF"),
    "WebP": lambda: (letter().convert("RGB"), "WEBP"),
    "JPEG 2000": lambda: (letter(), "JPEG2000"),
    "HEIC": lambda: (letter().convert("RGB"), "HEIF"),
}


@pytest.mark.parametrize("kind", PIXELS)
def test_pixels_and_files_of_every_kind_are_read(kind):
    if kind == "HEIC":
        pytest.importorskip("pillow_heif").register_heif_opener()
    image, form = PIXELS[kind]()
    image.save(saved := io.BytesIO(), form)
    assert file_kind(saved.getvalue(), "") == "image"
    (page,) = read_content(saved.getvalue(), "").reports[0].pages
    assert "Iron deficiency anemia." in page.text and "hemoglobin 9.1 g/dL" in page.text


def test_a_photograph_is_turned_as_its_exif_says():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it a quarter to the right
    letter().rotate(90, expand=True).save(saved := io.BytesIO(), "JPEG", exif=exif)
    assert "hemoglobin 9.1 g/dL" in read_image(saved.getvalue())[0].text


def ruled(rows, font, size, thick):
    "A page with a boxed table of these rows."
    widths, height = [380, 260, 240, 280], round(size * 2.1)
    page = Image.new("L", (1300, 180 + height * len(rows)), 255)
    pen, face = ImageDraw.Draw(page), ImageFont.truetype(FONTS + font, size)
    pen.text((70, 40), "LABORATORY REPORT", fill=0, font=face)
    lefts = [70 + sum(widths[:n]) for n in range(5)]
    for n in range(len(rows) + 1):
        pen.line((lefts[0], 110 + n * height, lefts[-1], 110 + n * height), fill=0, width=thick)
    for left in lefts:
        pen.line((left, 110, left, 110 + len(rows) * height), fill=0, width=thick)
    for n, row in enumerate(rows):
        for left, cell in zip(lefts, row):
            pen.text((left + 16, 110 + n * height + size * 0.45), cell, fill=0, font=face)
    return page


@pytest.mark.parametrize("font, size, thick", [("Sans.ttf", 34, 4), ("Serif.ttf", 30, 2), ("SansMono.ttf", 28, 6)])
def test_every_cell_of_a_ruled_table_is_kept_in_order(font, size, thick):
    rng = Random(f"{font}{size}")
    tests = ["Sodium", "Potassium", "Chloride", "Urea", "Creatinine", "Calcium", "Albumin", "Ferritin"]
    number = lambda: f"{rng.uniform(1, 300):.{rng.choice((0, 1, 2))}f}"
    rows = [[test, number(), rng.choice(("mmol/L", "mg/dL")), f"{number()}-{number()}"] for test in tests]
    ruled(rows, font, size, thick).save(saved := io.BytesIO(), "PNG")
    read = read_image(saved.getvalue())[0].text.splitlines()
    assert read == ["LABORATORY REPORT", *(" | ".join(row) for row in rows)]


def test_a_cut_picture_is_refused():
    with pytest.raises(IngestError, match="broken image"):
        read_image(b"\x89PNG cut")
