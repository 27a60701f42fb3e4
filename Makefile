# make demo, make test: each creates .venv on its first call.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready
export OMP_NUM_THREADS ?= 1
# variables that point Python or its packages elsewhere would make a run depend on the caller's shell
unexport PYTHONPATH PYTHONHOME

.PHONY: help setup demo test test-fast lint format types imports clean peers-env paddleslim-env peers

help:
	@echo "make demo       run the whole method on simulated pairs; the result is runs/demo/report.html"
	@echo "make test       all checks and tests: ruff, mypy, import contracts, pytest"
	@echo "make test-fast  only the tests that need no framework"
	@echo "make setup      create .venv with the pinned versions (demo and test do this on their first call)"
	@echo "make format     format the code; make lint, make types, make imports: single checks"
	@echo "make peers      compare the search with other packages (takes hours; installs .venv-peers and .venv-paddleslim)"
	@echo "make clean      delete environments, runs and caches"

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

# other optimisers, for benchmarks/nas only. HEBO 0.3.6 pins NumPy < 1.25 and pymoo 0.6.0, and runs with newer ones all the same
peers-env: .venv-peers/.ready

.venv-peers/.ready: constraints.txt setup.cfg
	$(PYTHON) -m venv --clear .venv-peers
	.venv-peers/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[peers]'
	.venv-peers/bin/python -m pip install --quiet --no-deps HEBO==0.3.6
	@touch $@

# the published GPNAS class is one file of plain NumPy; its np.mat is gone in NumPy 2
paddleslim-env: .venv-paddleslim/.ready

.venv-paddleslim/.ready:
	$(PYTHON) -m venv --clear .venv-paddleslim
	.venv-paddleslim/bin/python -m pip install --quiet 'numpy<2'
	.venv-paddleslim/bin/python -m pip install --quiet --no-deps paddleslim==2.6.0
	@touch $@

peers: peers-env paddleslim-env
	.venv-peers/bin/python -W ignore -m benchmarks.nas.peers ../shared/data --out runs/peers

clean:
	rm -rf .venv .venv-peers .venv-paddleslim runs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
