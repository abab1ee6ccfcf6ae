.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help venv demo test lint format docs constraints image picture clean

help:  ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

venv: .venv/.stamp  ## make .venv with everything, development and benchmarks included

.venv/.stamp: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Cutwater needs Python 3.11 or newer; say make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,bench]'
	@touch $@

demo: venv  ## local stream, simulated sensors and the service in one; prints the page's address
	$(BIN)/cutwater demo

test: venv  ## run all tests; says at the end what could not be checked on this machine
	$(BIN)/python -m pytest

lint: venv  ## style, types, Dockerfile, ECS template
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile
	$(BIN)/cfn-lint deploy/ecs.yaml

format: venv  ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: venv  ## write docs/configuration.md from the settings
	$(BIN)/python -m service.settings

constraints:  ## write constraints.txt anew: the newest versions that pyproject.toml allows
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet '.[dev,bench]'
	$(BIN)/pip freeze --exclude cutwater > constraints.txt
	$(MAKE) venv

image:  ## build the container image
	docker build --tag cutwater .

picture: venv  ## take docs/images/page.png from a running demo
	$(BIN)/python -m tests.picture docs/images/page.png

clean:  ## remove what make made
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis data
