# make demo, make test: each makes .venv itself on the first call.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready
export OMP_NUM_THREADS ?= 1
# variables that point Python or its packages elsewhere would make a run depend on the caller's shell
unexport PYTHONPATH PYTHONHOME

.PHONY: help setup demo test test-fast lint format types imports clean

help:
	@echo "make demo   the whole method on simulated pairs, leaves runs/demo/report.html"
	@echo "make test   ruff, mypy, import contracts, all tests (make test-fast: those without a framework)"
	@echo "make lint format types imports setup clean"

setup: $(READY)

$(READY): constraints.txt setup.cfg
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	@touch $@

demo: $(READY)
	$(BIN)/gpnas-sr demo --out runs/demo

test: lint types imports test-fast
	$(BIN)/python -m pytest -m torch
	$(BIN)/python -m pytest -m paddle

test-fast: $(READY)
	$(BIN)/python -m pytest -m "not torch and not paddle"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

clean:
	rm -rf .venv runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
