"Tables, Word, RTF and HTML: what stands in a margin, a box or a damaged line is read where it stands, once."

import base64
import io
import json

import docx
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls
from PIL import Image

from medllm_nb.core import EncryptedCache
from medllm_nb.ingest import (
    header_fields,
    name_key,
)
from medllm_nb.ingest.ocr import page_cache

from made_files import (
    CHEST,
    NAME,
    TEXT,
    report,
    reports_of,
    saved,
    text_scan,
    texts,
    word,
)


ROW = "Impression: Right lower lobe pneumonia in the left hand export."


@pytest.mark.parametrize("sections", [1, 3], ids=["one section", "three sections"])
def test_what_stands_in_the_margins_of_a_word_file_is_read_once(sections, tmp_path):
    (read,), _ = reports_of(tmp_path, "letter.docx", word(sections))
    lines = [line for line in read.text.splitlines() if line]
    assert lines[:2] == ["Chest clinic", f"Patient: {NAME}, Ana | MRN: 00451234"] and lines[-1] == "DOB: 1950-03-14"
    assert len(lines) == 3 + sections
    assert header_fields(read.text) == {"mrn": "00451234", "name": name_key(f"{NAME}, Ana"), "dob": "1950-03-14"}


def test_word_text_in_controls_insertions_boxes_and_inner_tables_is_read():
    document = docx.Document()
    paragraph = document.add_paragraph("The lungs are clear.")
    for inner in (
        "<w:ins {} w:id='1' w:author='x'><w:r><w:t>Inserted.</w:t></w:r></w:ins>",
        "<w:sdt {}><w:sdtContent><w:r><w:t>Chosen.</w:t></w:r></w:sdtContent></w:sdt>",
        "<w:del {} w:id='2' w:author='x'><w:r><w:delText>Deleted.</w:delText></w:r></w:del>",
        "<w:r {}><w:pict><w:txbxContent><w:p><w:r><w:t>Boxed.</w:t></w:r></w:p></w:txbxContent></w:pict></w:r>",
    ):
        paragraph._p.append(parse_xml(inner.format(nsdecls("w"))))
    document.add_table(1, 1).cell(0, 0).add_table(1, 1).cell(0, 0).text = "Nested."
    document.save(buffer := io.BytesIO())
    text = texts(buffer.getvalue(), "a.docx")[0][0]
    assert all(text.count(word) == 1 for word in ("clear.", "Inserted.", "Chosen.", "Boxed.", "Nested."))
    assert "Deleted" not in text


def test_the_boxes_lists_and_remarks_of_a_word_form_are_read():
    document = docx.Document()
    field = lambda data: (
        f"<w:r {nsdecls('w')}><w:fldChar w:fldCharType='begin'><w:ffData>{data}</w:ffData></w:fldChar></w:r>"
    )
    for text, data in (
        ("Pneumonia ", "<w:checkBox><w:default w:val='0'/><w:checked/></w:checkBox>"),
        ("Effusion ", "<w:checkBox><w:default w:val='0'/></w:checkBox>"),
        ("Nodule ", "<w:checkBox><w:default w:val='1'/><w:checked w:val='0'/></w:checkBox>"),
        (
            "Severity: ",
            "<w:ddList><w:result w:val='1'/><w:listEntry w:val='mild'/><w:listEntry w:val='severe'/></w:ddList>",
        ),
    ):
        document.add_paragraph(text)._p.append(parse_xml(field(data)))
    document.add_comment(document.paragraphs[0].runs, text="Compare with 2019.", author="x")
    document.save(buffer := io.BytesIO())
    assert texts(buffer.getvalue(), "a.docx")[0][0].split("\n") == [
        "Pneumonia [x]",
        "Effusion [ ]",
        "Nodule [ ]",
        "Severity: severe",
        "Remark: Compare with 2019.",
    ]


def pasted(*pictures):
    "A letter with pictures pasted into it, in three formats, by file name."
    document = docx.Document()
    document.add_paragraph("See the scan.")
    for picture in pictures:
        document.add_picture(io.BytesIO(picture))
    letterhead = text_scan("Springfield General Hospital", "Department of Radiology", "Chest Clinic")
    document.sections[0].header.paragraphs[0].add_run().add_picture(io.BytesIO(saved(letterhead)))
    document.save(buffer := io.BytesIO())
    rtf = b"".join(rb"{\pict\pngblip\picscalex100" + b"\n" + p.hex().encode() + b"}" for p in pictures)
    html = "".join(f'<img src="data:image/png;base64,{base64.b64encode(p).decode()}">' for p in pictures)
    return {
        "a.docx": buffer.getvalue(),
        "a.rtf": rb"{\rtf1 See the scan." + rtf + b"}",
        "a.html": f"<html><p>See the scan.</p>{html}".encode(),
    }


@pytest.fixture(scope="module")
def pages_read_once(tmp_path_factory):
    "The three formats hold the same two pictures, which OCR reads once."
    return EncryptedCache(tmp_path_factory.mktemp("pages"), bytes(32), "tests")


@pytest.mark.parametrize("name", ["a.docx", "a.rtf", "a.html"])
def test_a_scan_pasted_into_word_rtf_or_html_is_its_last_page_and_a_photograph_is_counted(name, pages_read_once):
    content = pasted(saved(text_scan(*CHEST)), saved(Image.radial_gradient("L").resize((900, 900))))[name]
    with page_cache(pages_read_once):
        found, problems = texts(content, name)
    assert len(found) == 2 and found[0].strip() == "See the scan." and "left lower lobe" in found[1]
    assert [p.kind for p in problems] == ["picture without text"]


def test_one_bad_line_or_row_is_counted_and_loses_no_other():
    lines = "\n".join(
        [
            json.dumps({"text": f"{ROW}\u2028One."}, ensure_ascii=False),
            '{"text": "cut',
            json.dumps({"note": "-", "text": f"{ROW} Two."}),
            "7",
        ]
    )
    found, problems = texts(lines.encode(), "a.jsonl")
    assert [f.split()[-1] for f in found] == ["One.", "Two."]
    assert [str(p) for p in problems] == [
        "broken JSON: line 2 is no whole object: export it again",
        "broken JSON: line 4 is no whole object: export it again",
    ]
    resource = json.dumps(report(conclusion=TEXT))
    found, problems = texts("\n".join([resource, '{"resourceType": ', resource]).encode(), "a.ndjson")
    assert len(found) == 2 and [p.kind for p in problems] == ["broken JSON"]
    found, problems = texts(f"mrn,note\n1,{ROW}\n2,Lungs clear, no effusion.\n3,It's {ROW},,\n".encode(), "a.csv")
    assert found == [ROW, f"It's {ROW}"]
    assert [str(p) for p in problems] == [
        "broken CSV: row 2 has more cells than there are columns: export it again with its text in quotes"
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_a_table_in_any_encoding_is_read(encoding):
    text = "Fièvre à 38,5 °C – “pneumonie” du lobe inférieur droit, señor Müller"
    assert texts(f'mrn;note\r\n1;"{text}"\r\n'.encode(encoding), "a.csv")[0] == [text.replace("–", "-")]
