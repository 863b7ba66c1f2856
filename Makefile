# `make` sets up and runs the pipeline on the sample; `make test` sets up and passes the tests; `make help` lists the rest.
SHELL := bash
.DEFAULT_GOAL := run
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Nothing of a pipeline over patients' reports calls home.
export HF_HUB_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1
export UNSLOTH_DISABLE_STATISTICS := 1
export DVC_NO_ANALYTICS := 1
export PYDEVD_DISABLE_FILE_VALIDATION := 1
export TOKENIZERS_PARALLELISM := false
# Compiled once and kept, where a shell forbids it: each of the many processes would compile torch and transformers anew.
unexport PYTHONDONTWRITEBYTECODE

NBS := $(sort $(shell find nbs -name "*.ipynb" -not -path "*/.ipynb_checkpoints/*"))
PAPERMILL := mkdir -p reports/nbs && papermill -f params.yaml -k python3 --cwd . --log-level ERROR --progress-bar

.PHONY: run test check setup data browser key reid-key doctor lab benchmarks review accept site results outputs profile serve monitor retrain day audit readme clean-notebooks lock wheel help

run: setup key data  ## set up, then run the whole pipeline on data/ and show the scores (the default)
	dvc repro
	medllm scores

# Two processes with a thread each: PyTorch's threads of two processes on two cores wait for each other.
test check: export OMP_NUM_THREADS := 1
PYTEST := pytest --numprocesses 2 --dist loadscope --no-loadscope-reorder
test: setup key data browser  ## set up, then run every test: the library notebooks and tests/
	$(PYTEST)

check: setup  ## lint, notebooks in step with modules and README, and the quick tests: minutes, before a commit
	ruff check --quiet
	ruff format --check --quiet
	$(PYTEST) -m "not slow and not browser" tests/repo tests/core tests/instruct

setup: .venv/.ready  ## the environment in .venv, and Debian's packages

.venv/.ready: requirements/lock.txt requirements/converter.txt requirements/setup.sh settings.ini setup.py
	requirements/setup.sh
	touch $@

data: setup
	@[ -e data ] || dvc pull --quiet data.dvc

browser:
	@command -v chromium > /dev/null || { as=; [ "$$(id -u)" = 0 ] || as="sudo -n"; $$as apt-get update -qq && $$as apt-get install -y -qq --no-install-recommends chromium; } > /dev/null 2>&1 \
		|| echo "no Chromium here, so the browser tests are skipped: sudo apt-get install chromium"

key: setup  ## a key file for the PHI at rest, if there is none
	@medllm key > /dev/null

reid-key: setup  ## make reid-key FILE=/safe/key: a key for the re-identification table alone, kept apart from the pipeline's
	@test -n "$(FILE)" || { echo "say where: make reid-key FILE=/safe/key"; exit 1; }
	@python -c 'import sys; from medllm_nb.core import create_key; print(create_key(sys.argv[1]))' "$(FILE)"

doctor: setup  ## what this machine has, and which profile fits it
	@medllm doctor

lab: setup key data  ## JupyterLab on the project's kernel
	jupyter lab --notebook-dir=. nbs

benchmarks: setup  ## base and tuned model on the public benchmarks of benchmarks.data_dir
	$(PAPERMILL) nbs/09_evaluate/benchmarks.ipynb reports/nbs/benchmarks.ipynb
	@python -c 'import pandas as pd; print(pd.read_csv("artifacts/benchmarks/table.csv").round(3).to_string(index=False, na_rep=""))'

review: setup  ## the pages on which colleagues judge the answers; reads the ratings that came back
	$(PAPERMILL) nbs/09_evaluate/review.ipynb reports/nbs/review.ipynb
	@cat artifacts/metrics/review.json

profile: setup  ## make profile NAME=laptop: lay profiles/NAME.yaml over params.yaml
	@medllm profile "$(NAME)"
	@git --no-pager diff --stat -- params.yaml

serve: setup key  ## the gateway on 127.0.0.1:8000 and the clinician's page; Ctrl-C ends both
	@medllm page & page=$$!; trap "kill $$page 2> /dev/null" EXIT; medllm serve

accept: setup  ## make accept [MODEL=sft]: the evaluated model becomes the accepted one (accepted.json)
	@medllm accept $(MODEL)

audit: setup  ## known holes in the locked packages (asks PyPI's advisory database), and which have newer releases
	-pip-audit --strict --disable-pip -r requirements/lock.txt
	@pip list --outdated

site: setup  ## the notebooks, stage notebooks as last executed, as a searchable static site in reports/site
	python site/build.py reports/site-src
	rm -rf reports/site
	sphinx-build -q -b html reports/site-src reports/site
	@echo "open reports/site/index.html"

results: setup  ## RESULTS.md, and the README's table, from artifacts/metrics and the benches' last results
	python site/results.py
	$(MAKE) readme

outputs: setup  ## run the library notebooks and keep what their examples show
	python site/outputs.py

monitor: setup key  ## drift, use and alerts of the service's last weeks
	dvc repro service/dvc.yaml:monitor

retrain: setup key data  ## learn from clinicians' corrections: examples, the pipeline again, a version proposed or refused
	dvc repro service/dvc.yaml:feedback
	dvc repro service/dvc.yaml:propose

day: setup key data  ## a simulated clinical day against the running service
	dvc repro service/dvc.yaml:rehearsal

readme: setup  ## README.md from nbs/index.ipynb
	python site/readme.py

clean-notebooks: setup  ## clean and format the notebooks, then export the modules and the README: before a commit
	nbdev_clean
	ruff format --quiet nbs
	nbdev_export
	$(MAKE) readme

lock:  ## resolve requirements/lock.txt again (needs uv)
	requirements/lock.sh

wheel: setup  ## a wheel of the package in dist/
	python -m build --wheel --outdir dist .

help:
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 24
