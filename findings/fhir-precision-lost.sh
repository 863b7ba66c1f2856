#!/usr/bin/env bash
# What a reader expects: FHIR R4 to R5 say that the precision of a decimal has meaning (0.010 is not 0.01) and that
# implementations shall keep it, and they carry a laboratory's precision that way. fhir.resources parses into Decimal.
# What happens: fhir.resources 8.3.0 reads 5.90 and writes 5.9, and reads a troponin of 0.010 and writes 0.01: a program
# that only reads and writes a resource has changed what the laboratory reported, and two systems disagree on its digits.
# Seen with fhir.resources 8.3.0 on Python 3.11. Exits 0 while it is so, 1 when it has changed.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env" && "$folder/env/bin/pip" install --quiet fhir.resources==8.3.0
"$folder/env/bin/python" - <<'EOF'
import re
import sys

from fhir.resources.observation import Observation

resource = '{"resourceType":"Observation","status":"final","code":{"text":"T"},"valueQuantity":{"value":%s,"unit":"ng/mL"}}'
written = [re.search(r'"value":\s*([^,]+),', Observation.model_validate_json(resource % v).model_dump_json()).group(1) for v in ("5.90", "0.010")]
print("fhir.resources: 5.90 and 0.010 come out as", *written)
sys.exit(written != ["5.9", "0.01"])
EOF
