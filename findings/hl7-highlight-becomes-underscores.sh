#!/usr/bin/env bash
# What a reader expects: HL7 v2's \H\ and \N\ switch highlighting on and off. They are no characters of the text, so a
# program that undoes the escapes of a result gives the words between them and nothing more.
# What happens: python-hl7 puts an underscore in the place of each. A critical value, which laboratories highlight, stands
# as _6.9_ in the text; no program that looks for words or numbers at a word's edge finds it there.
# Seen with hl7 0.4.5 on Python 3.11. Exits 0 while it is so, else 1.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env" && "$folder/env/bin/pip" install --quiet hl7==0.4.5
"$folder/env/bin/python" - <<'EOF'
import sys
from importlib.metadata import version

import hl7

message = hl7.parse(
    "MSH|^~\\&|LAB|WARD|||20240305||ORU^R01|1|P|2.5\r"
    "OBX|1|FT|K^Potassium||Potassium \\H\\6.9\\N\\ mmol/L, repeat today.||||||F\r"
)
result = message.segment("OBX")
text = hl7.util.unescape(result, str(result[5]))
print("hl7", version("hl7"), "gives:", text)
sys.exit(text != "Potassium _6.9_ mmol/L, repeat today.")
EOF
