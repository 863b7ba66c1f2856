"Word, RTF, HTML, tables and old text after public bug reports: one case a line, with the siblings of its kind."

import io
import zipfile

import openpyxl
import pytest
import xlwt
from case_files import case_structure, case_text, lab_values, read_case, statuses, structure_text
import made_files

from medllm_nb.ingest import IngestError, read_content


def texts(content, name):
    "The texts of a file's reports, and its problems as a list."
    found, problems = made_files.texts(content, name)
    return found, list(problems)


SEEN = [
    pytest.param(
        "DOC-01-letter.docx", ["LVEF ≥ 40 %", "Digoxin 125 µg", "Temperature ≤ 38", "Diabetes ☑"], [], id="DOC-01"
    ),
    pytest.param("DOC-03-letter.docx", ["small right pleural effusion", "Electronically signed"], [], id="DOC-03"),
    pytest.param("DOC-04-form.docx", ["[ ] Diabetes [x] Hypertension"], ["☐", "☒"], id="DOC-04"),
    pytest.param("DOC-06-letter.docx", ["small right pleural effusion", "No pneumonia."], [], id="DOC-06"),
    pytest.param("DOC-07-letter.docx", ["No pneumonia."], ["TEMPLATE", "Pneumothorax present"], id="DOC-07"),
    pytest.param("DOC-09-letter.docx", ["(3.5-5.1), follow-up.\nNext line. In a tag."], [], id="DOC-09"),
    pytest.param(
        "DOC-10-labs.docx", ["Chemistry | Sodium | 128 | mmol/L", "| Potassium | 6.1 | mmol/L"], [], id="DOC-10"
    ),
    pytest.param("DOC-12-n.docx", ["Potassium: 6.1 mmol/L (3.5-5.1)", "IMPRESSION : Hyper"], ["\u00a0"], id="DOC-12"),
    pytest.param(
        "RTF-01-letter.rtf", ["fraction ≥ 40 %", "Digoxin 125 µg", "Fentanyl 50 µg"], ["mg", "³"], id="RTF-01"
    ),
    pytest.param("RTF-03-letter.rtf", ["José Müller", "José has", "38°"], [], id="RTF-03"),
    pytest.param("RTF-04-letter.rtf", ["Small effusion."], ["Large pneumothorax", "Hidden instruction"], id="RTF-04"),
    pytest.param("RTF-06-labs.rtf", ["Sodium | 128 | mmol/L\nPotassium | 6.1 | mmol/L"], [], id="RTF-06"),
    pytest.param("RTF-07-form.rtf", ["[ ] Diabetes [x] Hypertension. Potassium 6.1 mmol/L."], [], id="RTF-07"),
    pytest.param("HTM-01-labs.html", ["Potassium: 6.1 mmol/L (3.5 - 5.1)"], ["\u00a0"], id="HTM-01"),
    pytest.param("HTM-03-labs.html", ["90 x10⁹/L", "15.2 10³/µL", "1.73 m²"], ["109"], id="HTM-03"),
    pytest.param(
        "HTM-04-note.html",
        ["IMPRESSION: Right lower lobe pneumonia.", "FINDINGS: Consolidation."],
        ["embolism", "Large effusion", "pneumothorax"],
        id="HTM-04",
    ),
    pytest.param(
        "HTM-06-labs.html", ["Sodium | Potassium | Creatinine\n03/05/2024 | 128 | 6.1 | 1.9"], [], id="HTM-06"
    ),
    pytest.param("HTM-07-note.html", ["Patient: Łukasz Gąsior"], ["£"], id="HTM-07"),
    pytest.param("TAB-03-r.csv", ['The so-called "bird\'s beak".'], [], id="TAB-03"),
    pytest.param("TXT-01-old.txt", ["Ferritin 5 µg/L (20-300)", "Temperature 38° today."], ["æ", "ø"], id="TXT-01"),
]


@pytest.mark.parametrize(("name", "seen", "unseen"), SEEN)
def test_what_is_seen_is_read_and_nothing_else(name, seen, unseen):
    text = case_text(name)
    assert [part for part in seen if part not in text] == []
    assert [part for part in unseen if part in text] == []
    assert read_case(name)[1] == []


LABS = [
    pytest.param("DOC-10-labs.docx", {("Sodium", 128.0), ("Potassium", 6.1), ("Creatinine", 1.9)}, id="DOC-10"),
    pytest.param("DOC-12-n.docx", {("Potassium", 6.1)}, id="DOC-12"),
    pytest.param("RTF-06-labs.rtf", {("Sodium", 128.0), ("Potassium", 6.1), ("Creatinine", 1.9)}, id="RTF-06"),
    pytest.param("RTF-07-form.rtf", {("Potassium", 6.1)}, id="RTF-07"),
    pytest.param("HTM-01-labs.html", {("Potassium", 6.1), ("Sodium", 128.0)}, id="HTM-01"),
    pytest.param("TAB-04-labs.csv", {("Potassium", 6.1), ("Sodium", 128.0)}, id="TAB-04"),
    pytest.param("TXT-01-old.txt", {("Ferritin", 5.0)}, id="TXT-01"),
]


@pytest.mark.parametrize(("name", "right"), LABS)
def test_each_value_stands_with_its_test(name, right):
    assert {lab[:2] for lab in lab_values(case_structure(name))} == right


def test_a_power_is_no_digit_of_the_count():
    assert ("Platelets", 90.0, "10^9/L", "low") in lab_values(case_structure("HTM-03-labs.html"))


def test_columns_of_findings_and_impression_are_the_sections_of_a_report_a_row():
    reports, problems = read_case("TAB-01-indiana_reports.csv")
    assert [r.text.split("\n")[-2:] for r in reports] == [
        ["FINDINGS: The lungs are clear and the heart is normal in size.", "IMPRESSION: No acute disease."],
        ["FINDINGS: The heart is enlarged.", "IMPRESSION: Cardiomegaly without failure."],
    ]
    assert not problems


def test_a_row_a_test_is_a_report_a_patient():
    (report,), problems = read_case("TAB-04-labs.csv")
    assert report.patient_id == "00451299" and not problems
    assert report.text.endswith("Potassium 6.1 mmol/L (3.5-5.1)\nSodium 128 mmol/L (135-145)")


# Siblings: Word


def word(
    body,
    main="word/document.xml",
    parts=(),
    rels="",
    space="http://schemas.openxmlformats.org/wordprocessingml/2006/main",
):
    "A Word file of parts written by hand."
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    folder, name = main.rsplit("/", 1)
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        root = f"<Relationship Id='r' Type='{office}/officeDocument' Target='{main}'/>"
        archive.writestr("_rels/.rels", f"<Relationships xmlns='{package}'>{root}</Relationships>")
        inner = rels.replace("@", office)
        archive.writestr(f"{folder}/_rels/{name}.rels", f"<Relationships xmlns='{package}'>{inner}</Relationships>")
        names = f"xmlns:w='{space}' xmlns:r='{office}' xmlns:w14='http://schemas.microsoft.com/office/word/2010/wordml'"
        archive.writestr(main, f"<w:document {names}><w:body>{body}</w:body></w:document>")
        for part, content in dict(parts).items():
            archive.writestr(part, content)
    return buffer.getvalue()


def run(text, look=""):
    return f"<w:r><w:rPr>{look}</w:rPr><w:t xml:space='preserve'>{text}</w:t></w:r>"


def line(*runs):
    return f"<w:p>{''.join(runs)}</w:p>"


STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main"
TEXT = "Small right effusion, potassium 6.1 mmol/L."


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.docx", word(line(run(TEXT)), "word/document2.xml")),
        ("a.docm", word(line(run(TEXT)))),
        ("a", word(line(run(TEXT)), "word/document22.xml")),
        ("a.docx", word(line(run(TEXT)), space=STRICT)),
        ("a.doc", word(line(run(TEXT)))),
        ("a.doc", b"{\\rtf1 " + TEXT.encode() + b"}"),
        ("a.doc", f"<html><body>{TEXT}</body></html>".encode()),
        ("a.doc", TEXT.encode()),
    ],
)
def test_a_word_file_is_known_by_what_it_holds(name, content):
    assert texts(content, name) == ([TEXT], [])


@pytest.mark.parametrize(
    ("part", "content"),
    [
        ("c.html", f"<p>{TEXT}<del>gone</del></p>"),
        ("c.xhtml", f"<html xmlns='http://www.w3.org/1999/xhtml'><body>{TEXT}</body></html>"),
        ("c.rtf", "{\\rtf1 " + TEXT + "{\\v gone}}"),
        ("c.txt", TEXT),
        ("c.docx", word(line(run(TEXT), run("gone", "<w:vanish/>")))),
    ],
)
def test_a_chunk_in_another_format_is_read_where_it_stands(part, content):
    rel = f"<Relationship Id='c' Type='@/aFChunk' Target='{part}'/>"
    body = line(run("Before.")) + "<w:altChunk r:id='c'/>" + line(run("After."))
    assert texts(word(body, parts={f"word/{part}": content}, rels=rel), "a.docx") == ([f"Before.\n{TEXT}\nAfter."], [])


def test_a_chunk_that_cannot_be_read_is_counted():
    rel = "<Relationship Id='c' Type='@/aFChunk' Target='c.bin'/>"
    body = line(run("Before.")) + "<w:altChunk r:id='c'/><w:altChunk r:id='none'/>"
    found, problems = texts(word(body, parts={"word/c.bin": bytes(99) + b"x"}, rels=rel), "a.docx")
    assert found == ["Before."] and [p.kind for p in problems] == ["unknown format", "document elsewhere"]


def test_styles_hide_and_strike_as_runs_do():
    style = lambda name, kind, look: f"<w:style w:styleId='{name}' w:type='{kind}'>{look}</w:style>"
    styles = (
        style("H", "character", "<w:rPr><w:vanish/></w:rPr>")
        + style("S", "paragraph", "<w:rPr><w:dstrike/></w:rPr>")
        + style("S2", "paragraph", "<w:basedOn w:val='S'/>")
    )
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = line(
        run("Seen "), run("gone", "<w:rStyle w:val='H'/>"), run("again.", "<w:rStyle w:val='H'/><w:vanish w:val='0'/>")
    )
    body += line("<w:pPr><w:pStyle w:val='S2'/></w:pPr>", run("gone"), run("Kept.", "<w:dstrike w:val='false'/>"))
    parts = {"word/styles.xml": f"<w:styles xmlns:w='{space}'>{styles}</w:styles>"}
    content = word(body, parts=parts, rels="<Relationship Id='s' Type='@/styles' Target='styles.xml'/>")
    assert texts(content, "a.docx")[0] == ["Seen again.\nKept."]


def test_signs_of_fonts_and_fields_are_read_as_they_look():
    mark = lambda kind: f"<w:r><w:fldChar w:fldCharType='{kind}'/></w:r>"
    told = lambda text: f"<w:r><w:instrText>{text}</w:instrText></w:r>"
    body = line(
        run("EF "), mark("begin"), told(' SYMBOL 179 \\f "Symbol" '), mark("end"), run(" 40 %, 125 "),
        run("m", "<w:rFonts w:ascii='Symbol' w:hAnsi='Symbol'/>"), run("g, "),
        mark("begin"), told(" IF "), mark("begin"), told(" REF x "), mark("separate"), run("gone"), mark("end"),
        told(" = 1 "), mark("separate"), run("shown"), mark("end"),
        "<w:r><w:sym w:font='Wingdings' w:char='F0A8'/><w:t xml:space='preserve'> gout</w:t></w:r>",
        run(" 10"), run("9", "<w:vertAlign w:val='superscript'/>"), run("/L"),
    )  # fmt: skip
    assert texts(word(body), "a.docx")[0] == ["EF ≥ 40 %, 125 µg, shown☐ gout 10⁹/L"]


# Siblings: stacked cells, in three formats


def stacked(names, values):
    "A row of two cells with lines in them, as Word, RTF and HTML write it."
    cell = lambda lines: f"<w:tc>{''.join(line(run(t)) for t in lines)}</w:tc>"
    rtf_cell = lambda lines, between: f"\\pard\\intbl {between.join(lines)}\\cell "
    yield "a.docx", word(f"<w:tbl><w:tr>{cell(names)}{cell(values)}</w:tr></w:tbl>")
    for between in ("\\line ", "\\par "):
        row = f"\\trowd\\cellx1000\\cellx2000 {rtf_cell(names, between)}{rtf_cell(values, between)}\\row"
        yield "a.rtf", f"{{\\rtf1 {row}\\pard\\par}}".encode()
    for left, right in (("", "<br>"), ("<p>", "</p>"), ("<div>", "</div>")):
        inner = lambda lines: "".join(f"{left}{text}{right}" for text in lines)
        yield "a.html", f"<html><table><tr><td>{inner(names)}<td>{inner(values)}</table>".encode()


def test_stacked_cells_pair_by_line():
    for name, content in stacked(["Sodium", "Potassium", "Creatinine"], ["128", "6.1", "1.9"]):
        assert texts(content, name)[0] == ["Sodium | 128\nPotassium | 6.1\nCreatinine | 1.9"]


def test_stacked_cells_that_do_not_pair_give_no_value():
    for name, content in stacked(["Sodium", "Potassium", "Creatinine"], ["128", "6.1"]):
        (text,), _ = texts(content, name)
        assert text.split() == ["Sodium", "Potassium", "Creatinine", "---", "128", "6.1"]
        assert not lab_values(structure_text(text))


# Siblings: RTF

FONTS = "{\\fonttbl{\\f0 Arial;}{\\f1\\fcharset2 Wingdings;}{\\f2\\fcharset204 Arial CYR;}{\\f3\\fcharset2 Symbol;}"
FONTS += "{\\f4\\fcharset238 Arial CE;}}"


@pytest.mark.parametrize(
    ("body", "right"),
    [
        (r"Diabetes {\f1\'fe} gout {\f1 \u-3928 ?}", "Diabetes ☑ gout ☐"),
        (r"{\f2\'cf\'ed\'e5\'e2\'ec\'ee} caf\'e9 {\f4 \'a3ukasz}", "Пневмо café Łukasz"),
        (r"A {\v x}B{\deleted x}{\strike x}{\striked1 x} C\plain\v x\v0  D", "A B C D"),
        (r"90 x 10{\super 9}/L, m{\up6 2}, H{\sub 2}O", "90 x 10⁹/L, m², H2O"),
        (r"\u8805 ? 40, \u8804\'3c 38, {\uc2\u176 ??}C", "≥ 40, ≤ 38, °C"),
        (
            r"{\field{\*\fldinst FORMDROPDOWN{\*\formfield{\ffres1{\*\ffl mild}{\*\ffl severe}}}}{\fldrslt}} pain",
            "severe pain",
        ),
        (r"{\field{\*\fldinst FORMCHECKBOX{\*\formfield{\fftype1\ffres25\ffdefres1}}}{\fldrslt}} gout", "[x] gout"),
        (r"{\field{\*\fldinst{HYPERLINK x}}{\fldrslt{\ul link}}}", "link"),
        (r"{\header Top\par}{\footer Foot\par}Body{\footnote Note.}\par", "Top\nBody\nNote.\nFoot"),
        (r"Text{\*\annotation{\*\atnref 1}Compare.}{\*\atnauthor gone}\par", "Text\nRemark: Compare."),
        (r"3\endash 5, x\~y, follow\_up, co\-op \{a\}", "3-5, x y, follow-up, coop {a}"),
    ],
)
def test_rtf_is_read_as_it_looks(body, right):
    assert texts(f"{{\\rtf1\\ansi\\deff0{FONTS}\\f0 {body}}}".encode("latin-1"), "a.rtf") == ([right], [])


# Siblings: HTML


@pytest.mark.parametrize(
    ("body", "right"),
    [
        ("K <input value='6.1'>mmol/L <input type=hidden value=x>", "K 6.1 mmol/L"),
        ("<input type=checkbox checked>gout <input type=radio>flu", "[x] gout [ ] flu"),
        ("<select><option>none<option selected>severe</select> pain", "severe pain"),
        ("<dl><dt>Sodium<dd>128<dt>Potassium:<dd>6.1<dd>repeated</dl>", "Sodium: 128\nPotassium: 6.1\nrepeated"),
        ("<style>.x, p.y {display:none} @media print {b{display:none}}</style><p class=y>x<p><b class=z>B</b>", "B"),
        ("a<span style='text-decoration: line-through'>x</span><i aria-hidden=true>x</i><strike>x</strike>b", "ab"),
        (
            "10<sup>-3</sup>, 5<sup>th</sup>, SpO<sub>2</sub>, K<sup>+</sup>, m<b style='vertical-align: super'>2</b>",
            "10⁻³, 5th, SpO2, K+, m²",
        ),
        (
            "<table><tr><th rowspan=2>Test<th colspan=2>Day<tr><th>1<th>2<tr><td>K<td>6.1<td>4</table>",
            "Test | Day\n| 1 | 2\nK | 6.1 | 4",
        ),
        ("<table><tr><td>L<td><table><tr><td>K<td>6.1</table></table>", "L | K | 6.1"),
        ("&alpha; &ge; 5&nbsp;&micro;g &lt;b&gt; &#8804;", "α ≥ 5 µg <b> ≤"),
        ("<pre>K    6.1\n Na 128</pre>", "K    6.1\n Na 128"),
        ("<fieldset><legend>Labs</legend>K</fieldset><textarea>One\nTwo</textarea>", "Labs\nK\n\nOne\nTwo"),
        ("<div>A<div>B</div></div>C<br>D<br><br>E", "A\nB\nC\nD\n\nE"),
    ],
)
def test_a_page_is_read_as_it_looks(body, right):
    assert texts(f"<html><body>{body}</body></html>".encode(), "a.html") == ([right], [])


@pytest.mark.parametrize(
    ("declared", "codec", "name"),
    [
        ("windows-1250", "cp1250", "Łukasz Gąsior"),
        ("windows-1251", "cp1251", "Иванов Пётр"),
        ("koi8-r", "koi8-r", "Иванов Пётр"),
        ("iso-8859-2", "iso-8859-2", "Łukasz Gąsior"),
        ("iso-8859-1", "cp1252", "O’Neill – Müller"),
        ("windows-1252", "utf-8", "José Müller µ"),
    ],
)
@pytest.mark.parametrize(
    "form", ["<meta charset={}>", "<meta http-equiv=Content-Type content='text/html; charset={}'>"]
)
def test_a_page_says_its_encoding(declared, codec, name, form):
    page = f"<html><head>{form.format(declared)}</head><body>{name}</body></html>"
    assert texts(page.encode(codec), "a.html")[0] == [name.replace("–", "-")]


# Siblings: text


@pytest.mark.parametrize(
    "codec", ["cp437", "cp850", "cp1252", "mac_roman", "utf-8", "utf-8-sig", "utf-16", "utf-16-le"]
)
@pytest.mark.parametrize("name", ["a.txt", "a.rpt", "a.log", "a.lab", "a.asc", "a.001", "REPORT", "a.doc"])
def test_old_text_is_read_in_any_encoding_under_any_name(codec, name):
    text = "Patient: Müller, José\nFerritin 5 µg/L, 38.5 °C, 7 ± 2 mm"
    assert texts(text.encode(codec), name) == ([text], [])


def test_lines_of_two_systems_are_read_each_in_its_encoding():
    content = "38 °C, Müller\n".encode() + "5 µg/L – José\n".encode("cp1252") + "LVEF ≥ 40 %".encode()
    assert texts(content, "a.txt")[0] == ["38 °C, Müller\n5 µg/L - José\nLVEF ≥ 40 %"]


@pytest.mark.parametrize("junk", [bytes(range(256)) * 4, b"MZ\x90\0\3" + bytes(60) + b"This program", b"\1\2\3 a" * 40])
@pytest.mark.parametrize("name", ["a.lab", "a.bin", "a.txt"])
def test_junk_is_refused(junk, name):
    with pytest.raises(IngestError):
        read_content(junk, name)


# Siblings: tables and sheets

LONG = [
    ["Patient ID", "Patient Name", "Collected", "Test Name", "Result", "Units", "Reference Range", "Flag", "Specimen"],
    ["00451299", "Okonkwo-Lind, Ida", "2024-03-05 08:00", "Potassium", "6.1", "mmol/L", "3.5-5.1", "H", "Serum"],
    ["00451299", "Okonkwo-Lind, Ida", "2024-03-05 08:00", "Glucose", "1000", "mg/dL", "0-15", "", "Urine"],
    ["00451299", "Okonkwo-Lind, Ida", "2024-03-06 08:00", "Potassium", "4.4", "mmol/L", "3.5-5.1", "", "Serum"],
    ["00451300", "Doe, Jan", "2024-03-06 08:00", "TSH", "", "mIU/L", "0.4-4.0", "", "Serum"],
]
LONG_RIGHT = [{("Potassium", 6.1)}, {("Potassium", 4.4)}, set()]


def sheets():
    "The long table in the formats of sheets."
    for delimiter in ",;\t|":
        yield "a.csv", "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in LONG).encode()
    book, old = openpyxl.Workbook(), xlwt.Workbook()
    page = old.add_sheet("A")
    for number, row in enumerate(LONG):
        book.active.append(row)
        for column, cell in enumerate(row):
            page.write(number, column, cell)
    for name, workbook in (("a.xlsx", book), ("a.xls", old)):
        workbook.save(buffer := io.BytesIO())
        yield name, buffer.getvalue()


def test_a_row_a_test_becomes_a_report_a_patient_and_day():
    for name, content in sheets():
        reports = read_content(content, name).reports
        assert [r.patient for r in reports] == ["00451299", "00451299", "00451300"]
        assert [{lab[:2] for lab in lab_values(structure_text(r.text))} for r in reports] == LONG_RIGHT
        assert "Urine Glucose 1000 mg/dL" in reports[0].text


def test_a_sheet_shows_its_numbers_as_formatted():
    book = openpyxl.Workbook()
    for row in (["Patient: Okonkwo-Lind, Ida"], ["Potassium", 5.0999999, "mmol/L"], ["Hct", 0.42], ["Sum", 0.1 + 0.2]):
        book.active.append(row)
    book.active["B2"].number_format, book.active["B3"].number_format = "0.0", "0%"
    book.save(buffer := io.BytesIO())
    assert texts(buffer.getvalue(), "a.xlsx")[0] == [
        "Patient: Okonkwo-Lind, Ida\nPotassium | 5.1 | mmol/L\nHct | 42%\nSum | 0.3"
    ]


def test_a_form_in_a_sheet_keeps_every_cell():
    rows = [
        ["Patient", "Okonkwo-Lind, Ida"],
        ["Test", "Result", "Unit"],
        ["Sodium", "128", "mmol/L"],
        ["Signed: Dr. Doe"],
    ]
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(buffer := io.BytesIO())
    assert texts(buffer.getvalue(), "a.xlsx")[0] == ["\n".join(" | ".join(row) for row in rows)]


@pytest.mark.parametrize(
    ("content", "right"),
    [
        ("sep=;\nmrn;report\n00451299;Pneumonia, left.\n", "Pneumonia, left."),
        ("Export of March\n\nmrn,report\n00451299,Pneumonia.\n", "Export of March\nPneumonia."),
        ("subject_id,findings,impression\n10000032,Clear.,Normal.\n", "FINDINGS: Clear.\nIMPRESSION: Normal."),
        ("mrn,ReportText\n00451299,Pneumonia.\n", "Pneumonia."),
        ("mrn,Sodium (mmol/L),K\n00451299,128,6.1\n", "LABORATORY RESULTS\nSodium 128 mmol/L\nK 6.1"),
    ],
)
def test_tables_of_other_shapes(content, right):
    assert texts(content.encode(), "a.csv") == ([right], [])


def test_boxes_are_asserted_as_ticked():
    report = case_structure("DOC-04-form.docx")
    assert statuses(report, "hypertension") <= {"present", "historical"}
