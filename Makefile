# The commands of this repository; `make` alone lists them.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# FAST=1 leaves out what needs a database or a cluster.
MARKS := $(if $(FAST),-m "unit or golden",)

.PHONY: help venv transfer cards subledger test test-fast test-long lint audit chaos fuzz bench down clean

help: ## List these commands
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

venv: $(STAMP) ## Create .venv and install what is needed

$(STAMP): setup.py pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 is needed and was not found. Remedy: install it, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check -e '.[test]'
	@touch $(STAMP)

transfer: $(STAMP) ## Start everything and drive a minute of transfers through it
	@$(BIN)/python -m jobs.demo_transfer

cards: $(STAMP) ## Start everything, load a million card histories and score a minute of traffic at full rate
	@$(BIN)/python -m jobs.demo_cards

subledger: $(STAMP) ## Start everything and load a million ledger entries of two tenants into PostgreSQL
	@$(BIN)/python -m jobs.demo_subledger

test: $(STAMP) ## The tests, those on a real cluster too
	@$(BIN)/python -m flink.jars
	@$(BIN)/python -m tests.kernels
	@$(BIN)/python -m pytest -q -n logical --maxprocesses 4 $(MARKS)

test-fast: ## The tests that need no server
	@$(MAKE) --no-print-directory test FAST=1

test-long: $(STAMP) ## What does not fit into the time of `make test`: metrics, TLS for Kafka, rescaling, more kills
	@$(BIN)/python -m flink.jars
	@$(BIN)/python -m pytest -q -m long

lint: $(STAMP) ## Style, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

audit: $(STAMP) ## Known vulnerabilities of all dependencies, Python's and Java's (asks OSV.dev)
	@$(BIN)/python -m tests.audit_dependencies

chaos: $(STAMP) ## Faults under load of every streaming job, checked: two hours (part: make chaos ARGS="--jobs=transfer --faults=kill")
	@$(BIN)/python -m tests.chaos $(ARGS)

fuzz: $(STAMP) ## Fuzz every decoder, ten minutes each: over two hours (one: make fuzz TARGET=card-records; SECONDS_EACH=60)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	@$(BIN)/python -m tests.fuzz --seconds=$(or $(SECONDS_EACH),600) $(TARGET)

bench: $(STAMP) ## The benchmarks, one after the other
	@$(BIN)/python -m bench.transfer
	@$(BIN)/python -m bench.cards
	@$(BIN)/python -m bench.subledger

down: ## Stop the local stack; its data stay (delete them: .venv/bin/python -m flink down --delete)
	@if [ -x $(BIN)/python ]; then $(BIN)/python -m flink down; else echo "nothing to stop: no $(VENV)"; fi

clean: down ## Stop the local stack; delete its data and .venv
	rm -rf .florin $(VENV)
