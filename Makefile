# Everything happens in .venv; the system is left alone. `make demo` and `make test` work on a fresh machine with
# python3, python3-venv, make and git.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: demo test test-kill check bench picture clean
.DELETE_ON_ERROR:

demo: $(VENV)/.runtime
	@$(BIN)/python -m inara_daemon demo

test: $(VENV)/.development
	@$(BIN)/python -m pytest

test-kill: $(VENV)/.development
	@$(BIN)/python -m tests.kill

check: $(VENV)/.development
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(VENV)/.development
	@$(BIN)/python -m benchmarks

picture: $(VENV)/.runtime
	@$(BIN)/python -m pictures

clean:
	rm -rf $(VENV)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; $(PYTHON) is older: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "No virtual environment could be made: apt install python3-venv"; exit 1; }

$(VENV)/.runtime: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV) ..."
	@$(PIP) install -e .
	@touch $@

$(VENV)/.development: pyproject.toml | $(BIN)/python
	@echo "Installing into $(VENV), with what tests and checks need ..."
	@$(PIP) install -e '.[test]'
	@touch $@ $(VENV)/.runtime
