# What one types here. `make` alone lists it.

VENV := .venv
BIN := $(VENV)/bin
BEHAVIOUR ?= canvas
TOOL_PORT ?= 8700
LMS_PORT ?= 8600
TEST_ARGS ?=
PYTHON ?= $(shell for name in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$name" && break; done)

.DEFAULT_GOAL := help
.PHONY: help demo demo-reset test test-long coverage lint format bench clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/for-use ## Run Tessera with a practice LMS (BEHAVIOUR=moodle for the other one)
	@exec $(BIN)/lti-tool demo --behaviour $(BEHAVIOUR) --tool-port $(TOOL_PORT) --lms-port $(LMS_PORT)

demo-reset: ## Forget all data of the demo
	@if [ -f var/demo/demo.pid ] && kill -0 "$$(cat var/demo/demo.pid)" 2>/dev/null; then \
		echo "The demo is running. Stop it with Ctrl-C, then reset." >&2; exit 1; fi
	@rm -rf var/demo && echo "var/demo is gone; the next demo begins anew."

test: $(VENV)/for-work ## Run all tests but the longest; at the end, skips by reason
	@$(BIN)/pytest $(TEST_ARGS)

test-long: $(VENV)/for-work ## Run the longest: a clean installation, whole journeys, two hundred killed workers
	@$(BIN)/pytest -m long $(TEST_ARGS)

coverage: $(VENV)/for-work ## Run all tests and list the lines that none of them reached
	@$(BIN)/pytest --cov --cov-report=term $(TEST_ARGS)

lint: $(VENV)/for-work ## Check style, types and architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/for-work ## Put the code into the common style
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

bench: $(VENV)/for-work ## Measure what the README says about speed
	$(BIN)/python bench/launches.py
	$(BIN)/python bench/grades.py
	$(BIN)/python bench/badges.py
	$(BIN)/python bench/desk.py

clean: ## Remove the virtual environment and everything that was built
	rm -rf $(VENV) build dist .coverage .coverage.* htmlcov .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Anew only when pyproject.toml changed: installing takes a minute, everything else seconds.
$(VENV)/for-use: pyproject.toml | $(BIN)/python
	@echo "Installing what Tessera needs (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/for-work: pyproject.toml | $(BIN)/python
	@echo "Installing what Tessera and its tests need (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/for-use

$(BIN)/python:
	@test -n "$(PYTHON)" || { \
		echo "Tessera needs Python 3.11 or newer, and no python3 here is. Name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Tessera needs Python 3.11 or newer; $(PYTHON) is older or is not there." >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "Python cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
