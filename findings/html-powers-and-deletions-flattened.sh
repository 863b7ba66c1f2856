#!/usr/bin/env bash
# What a reader expects: a converter that is made to keep a page's layout as text keeps a power apart from its base, and
# leaves out, or marks, what the page shows as deleted.
# What happens: inscriptis 2.7.6 joins <sup> to what stands before it, so a platelet count of 250 x 10<sup>9</sup>/L reads
# as 250 x 109/L, and it prints <del> and <s> like any other text: a stopped drug and a corrected potassium read as current.
# Seen with inscriptis 2.7.6 on Python 3.11. Exits 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env" && "$folder/env/bin/pip" install --quiet inscriptis==2.7.6
"$folder/env/bin/python" - <<'EOF'
import sys

from inscriptis import get_text

page = """<p>Platelets 250 x 10<sup>9</sup>/L. <del>Warfarin 5 mg</del> <ins>Apixaban 5 mg</ins>. Potassium <s>6.9</s> 5.9.</p>"""
text = get_text(page).strip()
print("inscriptis:", repr(text))
sys.exit(text != "Platelets 250 x 109/L. Warfarin 5 mg Apixaban 5 mg. Potassium 6.9 5.9.")
EOF
