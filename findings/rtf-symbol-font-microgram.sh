#!/usr/bin/env bash
# What a reader expects: RTF's Symbol font maps the byte "m" to the Greek letter mu, and Word writes micrograms that way
# (a run in a font of \fcharset2, then "g"). A converter to text gives "250 µg", or at least marks what it cannot read.
# What happens: striprtf 0.0.35 drops the font and keeps the byte, so 250 micrograms of digoxin read as 250 mg, a dose a
# thousand times as high, without a warning. "Greater or equal" (Symbol 0xB3) becomes a raised 3 in the same way.
# Seen with striprtf 0.0.35 on Python 3.11. Exits 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env" && "$folder/env/bin/pip" install --quiet striprtf==0.0.35
"$folder/env/bin/python" - <<'EOF'
import sys
from striprtf.striprtf import rtf_to_text

fonts = r"{\fonttbl{\f0\fswiss Arial;}{\f1\ftech\fcharset2 Symbol;}}"
text = rtf_to_text(r"{\rtf1\ansi" + fonts + r"\f0 Digoxin 250 {\f1 m}g daily, SpO2 {\f1 \'b3} 94 %}")
print("striprtf:", repr(text))
sys.exit(text != "Digoxin 250 mg daily, SpO2 ³ 94 %")
EOF
