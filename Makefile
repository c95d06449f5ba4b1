# `make demo` and `make test` are all the set-up there is: both create the environment first.

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell $(name) -c \
  'import sys; print("$(name)" if (3,11) <= sys.version_info < (3,14) else "")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test faults check format lock bench clean
help:      ## show this list
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

demo: $(READY)      ## run a real evaluation cycle and keep the API up
	@$(BIN)/kinitro demo

test: $(READY)      ## run all tests
	$(BIN)/python -m pytest -n auto --ignore=tests/system --ignore=tests/faults
	$(BIN)/python -m pytest -n 2 --dist=loadfile tests/system
	@$(MAKE) --no-print-directory faults

faults: $(READY)      ## hit a running cycle with every fault; LONG=1 all of them at full length, SEED=7 other moments
	KINITRO_TESTS_LONG=$(LONG) KINITRO_FAULTS_SEED=$(or $(SEED),8) $(BIN)/python -m pytest -n 4 --maxschedchunk=1 tests/faults

check: $(READY)      ## formatting, lint, types, import direction, packaging
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_imports.py tests/test_packaging.py

format: $(READY)      ## write the code the one way
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)      ## measure, as ratios against a limit of the same run
	@for name in log rebuild scoring weights_endpoint watching episodes cameras http_policies scaling endurance audit audit_cycle export stream planning; do $(BIN)/python -m tests.bench.$$name || exit 1; done

COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url
lock: $(READY)      ## pin every dependency anew, with hashes
	$(COMPILE) --upgrade --group dev pyproject.toml --output-file requirements-dev.lock
	$(COMPILE) --constraint requirements-dev.lock --group build pyproject.toml --output-file requirements.lock

clean:      ## remove the environment and all caches, not the data in .kinitro
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info

$(READY): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and was not found; install it or name it: make PYTHON=/path/to/python3.12"; exit 2; }
	@echo "Creating the environment in $(VENV) (once; about a minute)"
	@$(PYTHON) -m venv --clear $(VENV) || { echo "$(PYTHON) cannot create environments; on Debian: apt-get install python3-venv"; exit 2; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
