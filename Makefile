# Two commands do everything on a fresh machine: `make demo` and `make test`.
# Each sets up what it needs: a virtual environment with the pinned packages.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := all,dev

.PHONY: help setup demo demo-fresh test test-fast lint format ui clean

help:  ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.ready: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed; name it with PYTHON=..."; exit 1; }
	@echo "setting up $(VENV): a few minutes and 3 GB the first time"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$(EXTRAS)]' -c constraints.txt
	@touch $@

setup: $(VENV)/.ready  ## Install the pinned packages into .venv

demo: setup  ## Run a whole federation on this machine: corpus to released model
	@$(BIN)/synnq demo

demo-fresh: setup  ## The same, from the start
	@$(BIN)/synnq demo --fresh

test: setup  ## Run all tests that this machine has the parts for
	@$(BIN)/python -m pytest

test-fast: setup  ## Run the tests that take seconds
	@$(BIN)/python -m pytest -m "not slow and not browser"

lint: setup  ## Style, types and architecture
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup  ## Format the code
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

ui: setup  ## Open the web page of the demo's federation
	@$(BIN)/synnq up --home .synnq/demo

clean:  ## Remove the environment, the demo and caches
	rm -rf $(VENV) .synnq .pytest_cache .mypy_cache .ruff_cache .hypothesis
