#!/usr/bin/env bash
# Resolve settings.ini (and the models) again into requirements/lock.txt. Needs uv; `make lock` runs it. Versions that still fit stay;
# `requirements/lock.sh --upgrade` takes the newest.
set -euo pipefail
cd "$(dirname "$0")/.."
# uv keeps what it read of setup.py, but not of settings.ini behind it: hence --refresh-package.
opts=(--refresh-package medllm_nb --python-version 3.11 --python-platform x86_64-unknown-linux-gnu --generate-hashes --no-header --quiet "$@")
out=requirements/lock.txt
aside=$(mktemp -d)
trap 'rm -rf "$aside"' EXIT
# uv prefers what it finds in its output file.
cp "$out" "$aside/all.txt" && cp "$out" "$aside/models.txt"
uv pip compile setup.py --extra dev --extra cluster --extra serve --override requirements/overrides.txt -c requirements/pins.txt "${opts[@]}" --output-file "$aside/all.txt"
uv pip compile --no-deps requirements/models.txt "${opts[@]}" --output-file "$aside/models.txt"
{
  echo "# Made by \`make lock\` from settings.ini, pins.txt, overrides.txt and models.txt: edit those. Installed with --no-deps, so it is whole."
  cat "$aside/all.txt" "$aside/models.txt"
} > "$out.part"
mv "$out.part" "$out"
