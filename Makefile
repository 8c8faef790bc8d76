# OpenManager. `make help` lists what there is.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run test lint types bench clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

# A private environment. Rebuilt when pyproject.toml changes.
$(VENV)/run.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: Python 3.11 or later is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1); try: make PYTHON=python3.12" >&2; exit 2; }
	@echo "Setting up $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/test.stamp: $(VENV)/run.stamp
	@echo "Installing what the tests need (once) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev,mcp,postgres]'
	@touch $@

run: $(VENV)/run.stamp ## start exporter (3001) and alerter (3002); Ctrl-C stops both
	@$(BIN)/python deploy/run.py

lint: $(VENV)/test.stamp ## ruff and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/test.stamp ## mypy --strict
	$(BIN)/mypy

test: lint types ## lint, types, import contracts and all tests
	$(BIN)/pytest -n 2 --dist loadgroup

bench: $(VENV)/test.stamp ## side-by-side benchmarks; prints measured figures and ratios
	$(BIN)/python -m benchmarks

clean: ## remove the environment and caches (not your data)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
