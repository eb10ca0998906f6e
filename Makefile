# Two commands: `make demo` and `make test`. Each does its own set-up, on a fresh machine too.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test prepare lint types imports unit e2e test-faults bench venv manifests image sbom lock audit-dependencies cluster-down clean
.DEFAULT_GOAL := help

help: ## What there is
	@awk -F':.*## ' '/^[a-z.-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv ## See it work on a real cluster (CLUSTER=mine: on that of your kubeconfig)
	@$(BIN)/python -m demo $(if $(filter mine,$(CLUSTER)),--mine) $(if $(IMAGE),--image $(IMAGE))

test: lint types imports prepare ## Lint, types, import rules, unit, property and real-cluster tests
	$(BIN)/python -m pytest

# What takes minutes on a cold machine, before pytest: with progress, and outside of any test's time.
prepare: venv
	@$(BIN)/python -m tests.cluster build
	@if [ "$$(id -u)" = 0 ]; then $(BIN)/python -m tests.image build; fi
	@if [ "$$(id -u)" = 0 ] && type apt-get >/dev/null 2>&1; then $(BIN)/python -m tests.browser; fi

lint: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: venv
	$(BIN)/mypy

imports: venv
	$(BIN)/lint-imports

unit: venv ## Only the tests that need no cluster
	$(BIN)/python -m pytest -m "not api and not node and not long" --ignore tests/e2e

test-faults: prepare ## Every fault of docs/faults.md, the long ones too (an hour)
	$(BIN)/python -m pytest -m fault

e2e: prepare ## Only the tests on the real cluster
	$(BIN)/python -m pytest tests/e2e tests/image

bench: venv ## The measurements that the documents quote
	$(BIN)/python tests/bench/webhook.py --json build/bench/webhook.json --markdown build/bench/webhook.md --svg build/bench/webhook.svg
	$(BIN)/python tests/bench/apiserver.py --json build/bench/apiserver.json --markdown build/bench/apiserver.md --svg build/bench/apiserver.svg
	$(BIN)/python tests/bench/binding.py --json build/bench/binding.json --markdown build/bench/binding.md
	$(BIN)/python tests/bench/controller.py --json build/bench/controller.json --markdown build/bench/controller.md --svg build/bench/controller.svg
	$(BIN)/python tests/bench/controller_beside.py --json build/bench/beside.json --markdown build/bench/beside.md
	$(BIN)/python tests/bench/audit.py --json build/bench/audit.json --markdown build/bench/audit.md
	$(BIN)/python tests/bench/start.py --json build/bench/start.json --markdown build/bench/start.md
	$(BIN)/python tests/bench/injection.py
	$(BIN)/python tests/bench/servers.py

manifests: venv ## Render deploy/install.yaml anew, the tables of rights and of rules, and the catalogue of faults
	"$$($(BIN)/python -m tests.cluster build | tail -n 1)/kubectl" kustomize deploy/base > build-install.yaml
	mv build-install.yaml deploy/install.yaml
	$(BIN)/python -m tests.rbac_table
	$(BIN)/python -m tests.rules_table
	$(BIN)/python -m tests.faults.table

image: venv ## Build the image as a file for `ctr images import`; beside it lies its bill of materials
	$(BIN)/python -m tests.image build

sbom: venv ## The image's bill of materials as build/podfacts.cdx.json
	@mkdir -p build
	$(BIN)/python -m tests.image build --bill build/podfacts.cdx.json

audit-dependencies: venv ## Known vulnerabilities of all that is locked; needs a service that knows them (SERVICE=osv)
	$(BIN)/python -m supply_chain audit $(if $(SERVICE),--service $(SERVICE)) requirements.lock requirements-build.lock requirements-sbom.lock requirements-dev.lock

lock: venv ## Lock the versions anew: of the image, of its build and its bill, of the development tools
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --output-file requirements.lock pyproject.toml
	echo 'hatchling>=1.27' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --output-file requirements-build.lock -
	printf '%s\n' 'cyclonedx-python-lib>=11' 'packaging>=25' | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --output-file requirements-sbom.lock -
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade --constraint requirements.lock --output-file requirements-dev.lock --group dev pyproject.toml

cluster-down: ## End the test cluster and leave nothing of it
	$(PYTHON) -m tests.cluster down

clean: cluster-down
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

# The stamp is newer than what it was made from when what is installed fits.
venv: $(VENV)/.stamp
$(VENV)/.stamp: pyproject.toml requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "podfacts needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo "Setting up $(VENV) (about half a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@
