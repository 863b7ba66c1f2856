#!/usr/bin/env bash
# What a reader expects: PDFium's two ways to read a page, get_text_range and get_text_bounded of pypdfium2, give the same
# characters, and a hyphen at a line's end is a hyphen.
# What happens: the hyphen that breaks "hyper-kalemia" over two lines comes as U+FFFE (no character at all in Unicode) from
# one and as the control character U+0002 from the other, and the line break is gone in both. A search for "hyperkalemia",
# or for a patient's hyphenated name, finds nothing in either text.
# Seen with pypdfium2 5.15.2 on Python 3.11; the page was written by reportlab 5.1.0. Exits 0 while it is so, else 1.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env" && "$folder/env/bin/pip" install --quiet pypdfium2==5.15.2 reportlab==5.1.0
"$folder/env/bin/python" - <<'EOF'
import io
import sys

import pypdfium2
from reportlab.pdfgen import canvas

stream = io.BytesIO()
page = canvas.Canvas(stream, pagesize=(300, 200))
for y, line in ((150, "There is a hyper-"), (130, "kalemia today")):
    page.drawString(30, y, line)
page.save()
text = pypdfium2.PdfDocument(stream.getvalue())[0].get_textpage()
found = text.get_text_range(), text.get_text_bounded()
print("pypdfium2:", *map(ascii, found))
sys.exit(found != ("There is a hyper\ufffekalemia today", "There is a hyper\u0002kalemia today"))
EOF
