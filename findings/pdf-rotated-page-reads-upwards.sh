#!/usr/bin/env bash
# What a reader expects: /Rotate says how a page is shown and leaves its content as it is, so the text of one and the same
# page is read in the same order whatever /Rotate is. At 180 and 270 degrees it is.
# What happens: at /Rotate 90 PDFium gives the lines of the page from the last to the first. A result then stands below the
# line it belongs to, and a word that is hyphenated over two lines is joined to the line above it.
# Seen with pypdfium2 5.15.2 on Python 3.11; the page was written by reportlab 5.1.0. Exits 0 while it is so, else 1.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env" && "$folder/env/bin/pip" install --quiet pypdfium2==5.15.2 reportlab==5.1.0
"$folder/env/bin/python" - <<'EOF'
import io
import sys

import pypdfium2
from reportlab.pdfgen import canvas


def lines(rotation):
    stream = io.BytesIO()
    page = canvas.Canvas(stream, pagesize=(300, 200))
    page.setPageRotation(rotation)
    for y, line in ((150, "Potassium"), (130, "5.9 mmol/L"), (110, "Sodium"), (90, "131 mmol/L")):
        page.drawString(30, y, line)
    page.save()
    return pypdfium2.PdfDocument(stream.getvalue())[0].get_textpage().get_text_range().split()


found = {rotation: lines(rotation) for rotation in (0, 90, 180, 270)}
for rotation, words in found.items():
    print("pypdfium2, /Rotate", rotation, words)
straight = ["Potassium", "5.9", "mmol/L", "Sodium", "131", "mmol/L"]
upwards = ["131", "mmol/L", "Sodium", "5.9", "mmol/L", "Potassium"]
sys.exit(found != {0: straight, 90: upwards, 180: straight, 270: straight})
EOF
