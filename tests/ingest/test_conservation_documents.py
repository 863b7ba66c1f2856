"Every word and number that a person sees in a document stands in its text, once, in order; nothing unseen does."

import io
import random
import re

import docx
import odfdo
import openpyxl
import pptx
import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from made_files import texts

SEEDS = range(12)
W = nsdecls("w")


class Author:
    "Makes up words, numbers and signs, each of them once, and knows which are seen."

    def __init__(self, seed):
        self.random, self.seen, self.unseen = random.Random(seed), [], []

    def word(self):
        letters = "".join(self.random.choices("abcdefghijklmnopqrstuvwxyz", k=5))
        number = f"{self.random.randrange(10, 99)}.{self.random.randrange(1, 10)}"
        return self.random.choice((f"{letters.capitalize()}{number}", f"{letters}{number}", f"{number}{letters}x"))

    def text(self, seen=True, most=4):
        words = [self.word() for _ in range(self.random.randint(1, most))]
        (self.seen if seen else self.unseen).extend(words)
        return " ".join(words)

    def sign(self):
        sign = self.random.choice(("≥", "≤", "±", "°", "α"))
        self.seen.append(sign)
        return sign

    def check(self, found):
        kept = [t for t in re.findall(r"[≥≤±°α]|[\w.]+", found) if re.search(r"\d\.\d|[≥≤±°α]", t)]
        assert kept == self.seen
        assert not [word for word in self.unseen if word in found]


def read(content, name):
    found, problems = texts(content, name)
    return "\n".join(found), problems


SYMBOL_CODES = {"≥": 0xB3, "≤": 0xA3, "±": 0xB1, "°": 0xB0, "α": 0x61}


def docx_run(author, kind):
    "A run of Word's XML of a kind, seen or not."
    if kind == "sym":
        return f"<w:r {W}><w:sym w:font='Symbol' w:char='F0{SYMBOL_CODES[author.sign()]:02X}'/></w:r>"
    if kind in ("vanish", "strike", "dstrike"):
        return f"<w:r {W}><w:rPr><w:{kind}/></w:rPr><w:t xml:space='preserve'> {author.text(False)} </w:t></w:r>"
    if kind == "del":
        return f"<w:del {W} w:id='1' w:author='x'><w:r><w:delText>{author.text(False)}</w:delText></w:r></w:del>"
    if kind == "moveFrom":
        return f"<w:moveFrom {W} w:id='1' w:author='x'><w:r><w:t>{author.text(False)}</w:t></w:r></w:moveFrom>"
    text = f"<w:r><w:t xml:space='preserve'> {author.text()} </w:t></w:r>"
    wrapped = {
        "ins": f"<w:ins {W} w:id='1' w:author='x'>{text}</w:ins>",
        "sdt": f"<w:sdt {W}><w:sdtContent>{text}</w:sdtContent></w:sdt>",
        "smartTag": f"<w:smartTag {W} w:element='x'>{text}</w:smartTag>",
        "moveTo": f"<w:moveTo {W} w:id='1' w:author='x'>{text}</w:moveTo>",
        "fldSimple": f"<w:fldSimple {W} w:instr=' REF x '>{text}</w:fldSimple>",
        "hyperlink": f"<w:hyperlink {W}>{text}</w:hyperlink>",
    }
    return wrapped.get(kind) or text.replace("<w:r>", f"<w:r {W}>")


RUNS = "plain sym vanish strike dstrike del moveFrom ins sdt smartTag moveTo fldSimple hyperlink".split()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_word_file_keeps_what_is_seen(seed):
    author, document = Author(seed), docx.Document()
    document.sections[0].header.paragraphs[0].text = author.text()
    for _ in range(12):
        block = author.random.choice(("paragraph", "table", "box", "hidden row"))
        if block == "paragraph":
            paragraph = document.add_paragraph()
            for kind in author.random.choices(RUNS, k=4):
                paragraph._p.append(parse_xml(docx_run(author, kind)))
        elif block == "table":
            rows, columns = author.random.randint(1, 3), author.random.randint(1, 3)
            table = document.add_table(rows, columns)
            for cell in (cell for row in table.rows for cell in row.cells):
                cell.text = author.text()
        elif block == "box":
            inner = f"<w:txbxContent><w:p><w:r><w:t>{author.text()}</w:t></w:r></w:p></w:txbxContent>"
            document.add_paragraph()._p.append(
                parse_xml(
                    f"<w:r {W} xmlns:mc='http://schemas.openxmlformats.org/markup-compatibility/2006'>"
                    f"<mc:AlternateContent><mc:Choice Requires='wps'><w:drawing>{inner}</w:drawing></mc:Choice>"
                    f"<mc:Fallback><w:pict>{inner}</w:pict></mc:Fallback></mc:AlternateContent></w:r>"
                )
            )
        else:
            table = document.add_table(2, 2)
            for number, row in enumerate(table.rows):
                for cell in row.cells:
                    cell.text = author.text(seen=number == 0)
            table.rows[1]._tr.get_or_add_trPr().append(parse_xml(f"<w:hidden {W}/>"))
    document.sections[0].footer.paragraphs[0].text = author.text()
    document.save(buffer := io.BytesIO())
    found, problems = read(buffer.getvalue(), "a.docx")
    author.check(found)
    assert not problems


def rtf_piece(author, kind):
    "A piece of RTF of a kind, seen or not."
    escaped = lambda text: "".join(c if ord(c) < 128 else f"\\u{ord(c)} ?" for c in text)
    if kind == "symbol":
        return f"{{\\f3\\'{SYMBOL_CODES[author.sign()]:02x}}}"
    if kind == "symbol field":
        code = SYMBOL_CODES[author.sign()]
        return f'{{\\field{{\\*\\fldinst SYMBOL {code} \\\\f "Symbol" \\\\s 10}}{{\\fldrslt\\f3\\\'{code:02x}}}}}'
    if kind == "unicode":
        return escaped(author.sign())
    if kind in ("v", "deleted", "strike", "striked1"):
        return f"{{\\{kind} {author.text(False)} }}"
    if kind == "ignored":
        return f"{{\\*\\unknown {author.text(False)}}}{{\\info{{\\title {author.text(False)}}}}}"
    if kind == "field":
        return f"{{\\field{{\\*\\fldinst HYPERLINK {author.text(False)}}}{{\\fldrslt {author.text()}}}}}"
    return f" {{\\b {author.text()}}} \\i {author.text()} \\i0"


PIECES = ["plain", "symbol", "symbol field", "unicode", "v", "deleted", "strike", "striked1", "ignored", "field"]


@pytest.mark.parametrize("seed", SEEDS)
def test_an_rtf_file_keeps_what_is_seen(seed):
    author = Author(seed)
    parts = [f"{{\\header {author.text()}\\par}}"]
    for _ in range(12):
        if author.random.random() < 0.3:
            for _ in range(author.random.randint(1, 3)):
                cells = author.random.randint(1, 3)
                edges = "".join(f"\\cellx{1000 * (n + 1)}" for n in range(cells))
                inner = "".join(f"\\pard\\intbl {author.text()}\\cell " for _ in range(cells))
                parts.append(f"\\trowd{edges}{inner}\\row ")
            parts.append("\\pard ")
        elif author.random.random() < 0.2:
            box = author.text()
            parts.append(f"{{\\shp{{\\*\\shpinst{{\\sp{{\\sn a}}{{\\sv 1.5}}}}{{\\shptxt {box}\\par}}}}")
            parts.append(f"{{\\shprslt{{\\*\\do{{\\dptxbxtext {box}}}}}}}}}\\par ")
        else:
            pieces = author.random.choices(PIECES, k=4)
            parts.append(" ".join(rtf_piece(author, kind) for kind in pieces) + "\\par ")
    fonts = r"{\fonttbl{\f0\fswiss Arial;}{\f3\ftech\fcharset2{\*\panose 05050102}Symbol;}}"
    body = "\n".join(parts)
    content = f"{{\\rtf1\\ansi\\deff0{fonts}{body}{{\\footer {author.text()}\\par}}}}"
    found, problems = read(content.encode("cp1252"), "a.rtf")
    author.check(found)
    assert not problems


def html_piece(author, kind):
    "A piece of HTML of a kind, seen or not."
    hidden = {
        "del": "<del>{}</del>",
        "s": "<p>a <s>{}</s> b</p>",
        "hidden": "<div hidden>{}</div>",
        "none": "<div style='color:red; display: none'>{}</div>",
        "class": "<span class='big gone'>{}</span>",
        "script": "<script>var x = '{}'</script>",
        "comment": "<!-- {} -->",
        "option": "<select><option>{}</option></select>",
        "type": "<input type=hidden value='{}'>",
        "aria": "<i aria-hidden='true'>{}</i>",
    }
    shown = {
        "p": "<p>{}</p>",
        "div": "<div>{}<br>",
        "b": " <b>{}</b> ",
        "list": "<ul><li>{}</ul>",
        "input": " <input value='{}'> ",
        "chosen": "<select><option selected>{}</option></select> ",
        "area": "<textarea>{}</textarea> ",
        "pre": "<pre>{}</pre>",
        "dl": "<dl><dt>a<dd>{}</dl>",
        "legend": "<fieldset><legend>{}</legend></fieldset>",
        "th": "<table><caption>{}</caption></table>",
        "nbsp": "&nbsp;{}&#160;",
        "ins": "<ins>{}</ins> ",
    }
    if kind in hidden:
        return hidden[kind].format(author.text(False))
    if kind == "entity":
        return {"≥": " &ge; ", "≤": " &#8804; ", "±": " &plusmn; ", "°": " &deg; ", "α": " &alpha; "}[author.sign()]
    if kind == "table":
        cell = lambda: f"<td{author.random.choice(('', ' colspan=2', ' rowspan=2'))}>{author.text()}"
        rows = "".join(f"<tr>{cell()}{cell()}" for _ in range(author.random.randint(1, 3)))
        return f"<table>{rows}</table>"
    return shown[kind].format(author.text())


HTML_KINDS = (
    "del s hidden none class script comment option type aria p div b list input chosen area pre dl legend th nbsp ins "
    "entity table"
).split()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_page_keeps_what_is_seen(seed):
    author = Author(seed)
    body = "\n".join(html_piece(author, kind) for kind in author.random.choices(HTML_KINDS, k=25))
    page = f"<html><head><meta charset=utf-8><style>.gone {{ display: none }}</style></head><body>{body}</body></html>"
    found, problems = read(page.encode(), "a.html")
    author.check(found)
    assert not problems


@pytest.mark.parametrize("seed", SEEDS)
def test_sheets_keep_what_is_seen(seed):
    author, book = Author(seed), openpyxl.Workbook()
    book.remove(book.active)
    book.create_sheet("Results")
    for number in range(2):
        sheet = book["Results"] if number == 0 else book.create_sheet(f"s{number}")
        for _ in range(6):
            sheet.append([author.text() for _ in range(author.random.randint(1, 4))])
    hidden = book.create_sheet("old")
    hidden.append([author.text(False)])
    hidden.sheet_state = "hidden"
    book["Results"].append([author.text(False)])
    book["Results"].row_dimensions[7].hidden = True
    book.save(buffer := io.BytesIO())
    found, problems = read(buffer.getvalue(), "a.xlsx")
    author.check(found)
    assert [p.kind for p in problems] == ["hidden cells", "hidden cells"]


@pytest.mark.parametrize("seed", SEEDS)
def test_an_odt_file_keeps_what_is_seen(seed):
    author, document = Author(seed), odfdo.Document("text")
    document.body.clear()
    for area, style in (("struck", {"style:text-line-through-style": "solid"}), ("gone", {"text:display": "none"})):
        made = odfdo.Style("text", name=area)
        made.set_properties(properties=style, area="text")
        document.insert_style(made, automatic=True)
    for _ in range(10):
        kind = author.random.choice(("paragraph", "table", "span", "list"))
        if kind == "paragraph":
            document.body.append(odfdo.Paragraph(f"{author.text()}  {author.sign()}"))
        elif kind == "list":
            document.body.append(odfdo.List([author.text(), author.text()]))
        elif kind == "table":
            table = odfdo.Table("t", width=2, height=2)
            table.set_values([[author.text(), author.text()], [author.text(), author.text()]])
            document.body.append(table)
        else:
            paragraph = odfdo.Paragraph(f"{author.text()} ")
            paragraph.append(odfdo.Span(author.text(False), style=author.random.choice(("struck", "gone"))))
            document.body.append(paragraph)
    document.save(buffer := io.BytesIO())
    found, problems = read(buffer.getvalue(), "a.odt")
    author.check(found)
    assert not problems


@pytest.mark.parametrize("seed", SEEDS)
def test_slides_keep_what_is_seen(seed):
    author, deck = Author(seed), pptx.Presentation()
    for number in range(3):
        seen, slide = number != 1, deck.slides.add_slide(deck.slide_layouts[5])
        slide.shapes.title.text = author.text(seen)
        group = slide.shapes.add_group_shape()
        group.shapes.add_textbox(0, 0, 99, 99).text_frame.text = author.text(seen)
        table = slide.shapes.add_table(2, 2, 0, 0, 99, 99).table
        for cell in (cell for row in table.rows for cell in row.cells):
            cell.text = author.text(seen)
        slide.notes_slide.notes_text_frame.text = author.text(seen)
        if not seen:
            slide._element.set("show", "0")
    deck.save(buffer := io.BytesIO())
    found, problems = read(buffer.getvalue(), "a.pptx")
    author.check(found)
    assert [p.kind for p in problems] == ["hidden cells"]
