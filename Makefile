# Two commands: `make demo` and `make test`. Each does its own set-up, on a fresh machine too.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test lint types imports unit e2e bench venv install.yaml cluster-down clean
.DEFAULT_GOAL := help

help: ## What there is
	@awk -F':.*## ' '/^[a-z.-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv ## See it work on a real cluster (CLUSTER=mine: on that of your kubeconfig)
	@$(BIN)/python -m demo $(if $(filter mine,$(CLUSTER)),--mine)

test: lint types imports ## Lint, types, import rules, unit, property and real-cluster tests
	$(BIN)/python -m pytest

lint: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: venv
	$(BIN)/mypy

imports: venv
	$(BIN)/lint-imports

unit: venv ## Only the tests that need no cluster
	$(BIN)/python -m pytest -m "not api and not node" --ignore tests/e2e

e2e: venv ## Only the tests on the real cluster
	$(BIN)/python -m pytest tests/e2e tests/image

bench: venv ## The measurements that the documents quote
	$(BIN)/python tests/bench/servers.py

install.yaml: venv ## Render deploy/install.yaml anew
	$(BIN)/python -m tests.cluster kubectl --client kustomize deploy/overlays/install > deploy/install.yaml.new
	mv deploy/install.yaml.new deploy/install.yaml

cluster-down: ## End the test cluster and leave nothing of it
	$(PYTHON) -m tests.cluster down

clean: cluster-down
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

# The stamp is newer than pyproject.toml when what is installed fits it.
venv: $(VENV)/.stamp
$(VENV)/.stamp: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "podfacts needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo "Setting up $(VENV) (about half a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --editable . --group dev
	@touch $@
