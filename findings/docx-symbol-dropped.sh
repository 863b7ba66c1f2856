#!/usr/bin/env bash
# What a reader expects: Word stores a character from "Insert symbol" as <w:sym w:font="Symbol" w:char="F06D"/> (here the
# Greek letter mu). A paragraph's text holds it, or something in its place: python-docx maps tabs, breaks and hyphens.
# What happens: python-docx 1.2.0 leaves the symbol out of paragraph.text and run.text. "250 µg" reads as "250 g", a
# million times the dose, and "SpO2 ≥ 94" loses its comparison. Nothing in the text shows that a character is missing.
# Seen with python-docx 1.2.0 on Python 3.11. Exits 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env" && "$folder/env/bin/pip" install --quiet python-docx==1.2.0
"$folder/env/bin/python" - <<'EOF'
import io
import sys

import docx
from docx.oxml import OxmlElement
from docx.oxml.ns import qn


def add_symbol(paragraph, char):
    symbol = OxmlElement("w:sym")
    symbol.set(qn("w:font"), "Symbol")
    symbol.set(qn("w:char"), char)
    paragraph.add_run()._r.append(symbol)


document, stream = docx.Document(), io.BytesIO()
paragraph = document.add_paragraph("Digoxin 250 ")
add_symbol(paragraph, "F06D")
paragraph.add_run("g daily, SpO2 ")
add_symbol(paragraph, "F0B3")
paragraph.add_run(" 94 %")
document.save(stream)
text = docx.Document(stream).paragraphs[0].text
print("python-docx:", repr(text))
sys.exit(text != "Digoxin 250 g daily, SpO2  94 %")
EOF
