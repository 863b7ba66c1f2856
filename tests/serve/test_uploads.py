"Hostile files, read as the gateway reads them: in a worker process with limits. Each is refused with a reason."

import io
import os
import zipfile
from pathlib import Path

import pytest
from serving import PATIENCE_S

from medllm_nb.serve.answering import Reader
from medllm_nb.ingest import IngestError, IngestParams

REPORT = b"FINDINGS: Pale conjunctivae, no lymphadenopathy.\nLABS: Hemoglobin 9.1 g/dL (12.0-16.0)\n"


@pytest.fixture(scope="module")
def reader():
    made = Reader(timeout_s=PATIENCE_S, params=IngestParams(max_pages=50, max_megapixels=20))
    yield made
    made.close()


def zipped(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in members.items():
            z.writestr(name.replace("__", "/"), content)
    return out.getvalue()


def pages(n):
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out)
    for i in range(n):
        canvas.drawString(72, 700, f"page {i}")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def bomb_picture():
    "A PNG of 900 megapixels in about 100 KB."
    from PIL import Image

    out = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(out, "PNG", optimize=False)
    return out.getvalue()


def nested(depth):
    content = zipped(**{"a.txt": b"0" * 10_000_000})
    for _ in range(depth):
        content = zipped(**{"a.zip": content})
    return content


HOSTILE = {
    "zip bomb": lambda: ("a.zip", zipped(**{"a.txt": b"0" * 60_000_000})),
    "zip in zip in zip in zip": lambda: ("a.zip", nested(5)),
    "10,000 pages": lambda: ("a.pdf", pages(10_000)),
    "decompression bomb": lambda: ("a.png", bomb_picture()),
    "a program called a report": lambda: ("report.txt", b"\x7fELF\x02\x01\x01" + os.urandom(4000)),
    "half a PDF": lambda: ("a.pdf", pages(3)[:700]),
    "XML that expands": lambda: (
        "a.docx",
        zipped(
            **{
                "[Content_Types].xml": b"<Types/>",
                "word__document.xml": b'<!DOCTYPE x [<!ENTITY a "'
                + b"ha" * 50
                + b'">'
                + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 50) for i in range(8))
                + b"]><x>&i;</x>",
            }
        ),
    ),
    "nothing": lambda: ("a.txt", b""),
    "no text": lambda: ("a.txt", b"\n" * 100),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_with_its_reason(reader, name):
    file, content = HOSTILE[name]()
    with pytest.raises(IngestError) as e:
        reader.read(content, file)
    assert e.value.kind not in ("", "takes too long"), "refused for what it is, not for its time"
    assert len(str(e.value)) < 400
    assert reader.read(REPORT, "a.txt").format == "txt", "the worker reads on"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("../../../../tmp/medllm-evil.txt", id="climbs out"),
        pytest.param("/etc/passwd", id="absolute"),
        pytest.param("C:\\evil.txt", id="Windows"),
        pytest.param("a\0b.txt", id="NUL"),
        pytest.param("x" * 5000 + ".txt", id="5000 characters"),
        pytest.param("'; DROP TABLE users;--.txt", id="SQL"),
        pytest.param("", id="none"),
    ],
)
def test_a_files_name_leads_nowhere(reader, name):
    report = reader.read(REPORT, name)
    assert (
        "Pale conjunctivae" in report.text and report.source == "upload" and not Path("/tmp/medllm-evil.txt").exists()
    )


def test_members_that_climb_out_of_an_archive_write_nothing(reader, tmp_path):
    report = reader.read(zipped(**{"..__..__..__tmp__medllm-evil.txt": REPORT}), "a.zip")
    assert "Pale conjunctivae" in report.text and not Path("/tmp/medllm-evil.txt").exists()


def test_a_polyglot_is_read_as_one_thing_or_refused(reader):
    "A PDF that is a ZIP too, and a picture with a page in it: one reading, and nothing of the other comes along."
    pdf = pages(1) + zipped(**{"evil.txt": b"EVIL member of the archive, long enough to be read as a report.\n" * 3})
    png = b"\x89PNG\r\n\x1a\n<html><script>EVIL()</script>" + REPORT
    for content, name in ((pdf, "a.pdf"), (pdf, "a.zip"), (png, "a.html")):
        try:
            text = reader.read(content, name).text
        except IngestError:
            continue
        assert "EVIL" not in text


def noise(pixels):
    "A picture of nothing, on which OCR works for many seconds."
    import numpy as np
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (pixels, pixels), dtype="uint8")).save(out, "PNG")
    return out.getvalue()


def test_a_reader_that_never_ends_is_stopped_and_the_next_file_is_read():
    "The worker is killed at its time limit; another takes its place."
    made = Reader(timeout_s=0.5)
    try:
        with pytest.raises(IngestError, match="takes too long"):
            made.read(noise(3000), "a.png")
        made.timeout_s = PATIENCE_S
        assert made.read(REPORT, "a.txt").format == "txt"
    finally:
        made.close()
