# Targets a newcomer can guess. `make` alone lists them.

VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := requirements/constraints.txt
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c $(CONSTRAINTS)
DEMO_OUT ?= demo
WORKERS ?= 2

# Two workers share the machine: one thread of linear algebra each.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 POLARS_MAX_THREADS=1
PYTEST := $(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -rfEs

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint bench docs lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/python:
	@for python in $(PYTHON) python3 python3.11 python3.12 python3.13 python3.14; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    if "$$python" -m venv $(VENV); then exit 0; fi; \
	    rm -rf $(VENV); \
	    echo "$$python cannot make a virtual environment; on Debian install python3-venv, then run make again." >&2; \
	    exit 1; \
	  fi; \
	done; \
	echo "Wardgate needs Python 3.11 or later; found: $$(python3 --version 2>&1 || echo none)." >&2; \
	echo "Install it, or name one: make PYTHON=/path/to/python3.11 demo" >&2; \
	exit 1

$(VENV)/.run: $(BIN)/python pyproject.toml $(CONSTRAINTS)
	@echo "Installing Wardgate into $(VENV) (first run only, some minutes)"
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml $(CONSTRAINTS)
	@echo "Installing Wardgate with its tests and checks into $(VENV) (first run only, some minutes)"
	@$(INSTALL) -e '.[dev]'
	@touch $(VENV)/.run $@

demo: $(VENV)/.run ## six simulated hospitals through the whole chain, with a report
	@$(BIN)/wardgate demo --out $(DEMO_OUT) --replace --reference
	@echo "Report: $(abspath $(DEMO_OUT))/report.html"

test: $(VENV)/.dev ## tests of a few minutes
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/.dev ## long statistical audits
	$(PYTEST) -m slow

lint: $(VENV)/.dev ## format, style, types and the law of the house
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(VENV)/.dev ## one benchmark, e.g. make bench NAME=gate; writes docs/benchmarks.md
	@test -n "$(NAME)" && test -f "benchmarks/$(NAME).py" || { \
	  echo "Name one of: $(filter-out harness render,$(basename $(notdir $(wildcard benchmarks/*.py))))" >&2; exit 64; }
	$(ONE_THREAD) $(BIN)/python benchmarks/$(NAME).py
	$(BIN)/python benchmarks/render.py

docs: $(VENV)/.dev ## render what is generated, and fail if a document and the code disagree
	$(BIN)/python benchmarks/render.py
	$(BIN)/python -m pytest tests/docs

lock: $(VENV)/.dev ## write requirements/constraints.txt from .venv
	@$(BIN)/python -m pip check
	@{ sed -n '/^#/p' $(CONSTRAINTS); $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > $(CONSTRAINTS).new
	@mv $(CONSTRAINTS).new $(CONSTRAINTS)

clean: ## remove what was built; keeps .venv
	rm -rf demo out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
