#!/usr/bin/env bash
# What a reader expects: in "Platelets 90 x10(9)/L (150-400)" the raised exponent, set as a superscript in the middle of a
# line, is part of that line. It is drawn there, in one text object, by the rise of the text (PDF's operator Ts).
# What happens: PDFium ends the line behind the exponent. The text is "Platelets 90 x109", and "/L (150-400)" is a line of
# its own: the power is lost (109 for ten to the ninth), and the unit and the range have left their test.
# Seen with pypdfium2 5.15.2 on Python 3.11; the page was written by reportlab 5.1.0. Exits 0 while it is so, else 1.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env" && "$folder/env/bin/pip" install --quiet pypdfium2==5.15.2 reportlab==5.1.0
"$folder/env/bin/python" - <<'EOF'
import io
import sys
from importlib.metadata import version

import pypdfium2
from reportlab.pdfgen import canvas

stream = io.BytesIO()
page = canvas.Canvas(stream, pagesize=(300, 200))
text = page.beginText(30, 150)
for words, size, rise in (("Platelets 90 x10", 11, 0), ("9", 7, 4), ("/L (150-400)", 11, 0)):
    text.setFont("Helvetica", size)
    text.setRise(rise)
    text.textOut(words)
page.drawText(text)
page.save()
lines = pypdfium2.PdfDocument(stream.getvalue())[0].get_textpage().get_text_range().splitlines()
print("pypdfium2", version("pypdfium2"), "gives:", lines)
sys.exit(lines != ["Platelets 90 x109", "/L (150-400)"])
EOF
