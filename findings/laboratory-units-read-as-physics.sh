#!/usr/bin/env bash
# What a reader expects: a UCUM parser refuses a laboratory's unit that is not UCUM, or takes it for what laboratories mean:
# K/uL is thousand cells a microlitre (on most American blood counts), G/L is 10^9 cells a litre (on French and Swiss ones).
# What happens: ucumvert 0.3.2 accepts both without a word, as UCUM's letters have it: kelvin a microlitre and gauss a litre.
# A white count of 8.1 K/uL is then a temperature, and no conversion to 10*9/L is refused for the right reason.
# Seen with ucumvert 0.3.2 and pint 0.25.3 on Python 3.11. Exits 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env" && "$folder/env/bin/pip" install --quiet ucumvert==0.3.2 pint==0.25.3
"$folder/env/bin/python" - <<'EOF'
import sys

from ucumvert import PintUcumRegistry

units = PintUcumRegistry()
found = [str(units.from_ucum(code).units) for code in ("K/uL", "G/L")]
print("ucumvert:", found)
sys.exit(found != ["kelvin / microliter", "gauss / liter"])
EOF
