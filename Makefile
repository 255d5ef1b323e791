# The doors: make run, make test, make lint, make bench. Each sets up what it needs.

PYTHON ?= python3
IMAGE ?= oci-archive:examples/busybox/busybox.tar
VENV := .venv
BIN := $(VENV)/bin
# Tests that mount, run peers or load the machine, and so run one after another.
ALONE := tests/interop tests/privileged tests/stress

.DEFAULT_GOAL := help

.PHONY: help
help: ## Say what there is
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: run
run: $(VENV)/installed ## Pull an image and mount it: make run [IMAGE=docker.io/library/alpine:latest]
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/first-steps.sh "$(IMAGE)"

.PHONY: test
test: $(VENV)/dev ## Lint and run every test; as root on Debian with the peers they need
	@sh tests/peers.sh
	@$(MAKE) --no-print-directory lint
	$(BIN)/pytest -n auto --maxprocesses 4 $(ALONE:%=--ignore=%) $(PYTEST_ARGS)
	$(BIN)/pytest $(ALONE) $(PYTEST_ARGS)

.PHONY: lint
lint: $(VENV)/dev ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: bench
bench: $(VENV)/dev ## Measure orlop and its peers on real images, and draw the result
	@sh tests/peers.sh bench
	$(BIN)/python bench/run.py $(BENCH_ARGS)

.PHONY: build-binary
build-binary: $(VENV)/installed ## Build orlop-storage as one file: dist/orlop-storage
	@$(BIN)/python packaging/build_binary.py dist/orlop-storage

.PHONY: clean
clean: ## Remove what the targets above made in this folder
	rm -rf $(VENV) build dist demo bench/work .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "orlop needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv $(VENV) || { sh tests/peers.sh venv && $(PYTHON) -m venv --clear $(VENV); }

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/dev: $(VENV)/installed requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	@touch $@
