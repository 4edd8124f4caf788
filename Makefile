# Everything runs inside a virtual environment in this checkout; no other set-up is needed.
.DEFAULT_GOAL := help
.PHONY: help setup demo repro test check lint lock schema clean status bench evidence thorough

PYTHON ?= python3
JOBS ?= 2
BIN := .venv/bin
UV_VERSION := 0.13.9
# One torch thread per process: stages run side by side, and two threads in one process are slower on small machines.
export OMP_NUM_THREADS := 1
# Compiled modules halve the start of every stage, wherever the caller's environment forbids writing them.
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(BIN):$(PATH)

help: ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

setup: .venv/.ready ## make the virtual environment (also done by the targets below)

.venv/.ready: requirements.lock
	@echo "Setting up .venv from requirements.lock (about half a minute to three minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock \
		|| $(BIN)/python -m pip install --quiet --no-deps -r requirements.lock
	@touch $@

LOCKED := requirements.txt requirements-annotate.txt requirements-export.txt requirements-dev.txt
lock: ## resolve the files of requirements into requirements.lock (needs the registry)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 $(LOCKED) --output-file requirements.lock

repro: setup ## rebuild every result: several runs at a time, then a plain `dvc repro` that checks and finishes
	@python -m pipeline.params
	@python -m pipeline.launch --jobs $(JOBS)
	@dvc repro --quiet
	@dvc metrics show

demo: setup ## a first look in two minutes: a size-target and a self-labelling run, their pictures, the report page
	@python -m pipeline.launch --jobs $(JOBS) --only reports/dvc.yaml:x-look
	@python -m pipeline.stages.report
	@echo "Look at reports/figures/x-look.png; reports/index.html#x-look is the page around it"

bench: setup ## time kernels, steps of every objective, kept features and DVC's commands beside named peers; see reports/bench
	@python -m pipeline.bench.dense_crf
	@python -m pipeline.bench.solver
	@python -m pipeline.bench.steps
	@python -m pipeline.bench.features
	@python -m pipeline.bench.commands

SEARCH := search search_potts search_labels search_scans
EVIDENCE := size_noise size_losses scribble_sizes annotated acdc seeds potts cross_entropies methods solvers scribble_resnet \
	scribble_resnet_potts cross_seeds cross label_noise
MEASURED := b-fig5 b-appb1
evidence: setup ## train and record all that has real data, after `python -m pipeline.profile real`; goes on where it stopped
	@grep -q "^profile: real" params.yaml || { echo "first: python -m pipeline.profile real"; exit 1; }
	@python -m pipeline.launch --jobs $(JOBS) $(MEASURED:%=--only "reports/dvc.yaml:%") \
		$(foreach family,$(SEARCH) $(EVIDENCE),--only "pipeline/experiments/$(family)/dvc.yaml:*")
	@python -m pipeline.record search $(foreach family,$(SEARCH),--family $(family))
	@python -m pipeline.record real $(foreach family,$(EVIDENCE),--family $(family))
	@python -m pipeline.report.pages

status: setup ## what would be rebuilt
	@dvc status

test: setup check ## lint, type check, and run all tests
	@python -m pytest -n $(JOBS) --dist worksteal

thorough: setup ## bad input: at least 1,000 generated files, tables and requests for each property
	@python -m pytest -o timeout=0 -n $(JOBS) --dist worksteal --hypothesis-profile=thorough $$(grep -rl "^from hypothesis" tests --include="test_*.py")

check: setup ## ruff and mypy
	@ruff check pipeline tests
	@mypy

lint: setup ## repair what ruff can repair
	@ruff check --fix pipeline tests

schema: setup ## rewrite the JSON schema of params.yaml
	@python -m pipeline.params --schema

clean: ## remove scratch files; results stay
	rm -rf .scratch .pytest_cache .mypy_cache .ruff_cache dvc_plots
