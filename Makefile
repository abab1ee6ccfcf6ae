# `make` lists the targets. Each does all of its own set-up in .venv; nothing is installed elsewhere.
#   PYTHON=python3.13    the interpreter that .venv is made from (3.11 or newer)
#   ARGS="..."           more arguments for `cutwater demo` or pytest

is_new_enough := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python $(is_new_enough) 2>/dev/null && echo $$python && break; done)
ENGINE ?= $(shell command -v docker || command -v podman || echo docker)
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help venv venv-flink policies demo test check unit code lint format docs docs-site picture constraints image clean python

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

venv: .venv/ready  ## Make .venv with everything, development and benchmarks included

# uv installs in seconds what takes pip a minute. Where it is not to be had, or finds no packages, as it does not read
# pip's settings, pip does it. The constraints hold for the build back end too: old pips read the first variable there,
# new ones the second.
UV := $(or $(shell command -v uv),$(BIN)/uv)
ENVIRONMENT = $(PYTHON) -m venv .venv && { command -v $(UV) > /dev/null || \
	$(BIN)/pip install --disable-pip-version-check --quiet uv || true; }
INSTALL = install() { \
	$(UV) pip install --quiet --python $(BIN)/python \
		--constraints constraints.txt --build-constraints constraints.txt "$$@" 2> /dev/null || \
	PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
		$(BIN)/pip install --disable-pip-version-check --quiet "$$@"; }; install

venv-flink: .venv-flink/ready  ## Make .venv-flink with Apache Flink, which needs older packages than the rest and Java 17

# An environment beside .venv, whose packages the constraints do not fit: $(call OTHER,its folder,what it holds).
define OTHER
	$(PYTHON) -m venv $(1)
	if uv --version > /dev/null 2>&1; then uv pip install --quiet --python $(1)/bin/python $(2); \
	else $(1)/bin/pip install --disable-pip-version-check --quiet $(2); fi
endef

.venv-flink/ready: pyproject.toml | python
	$(call OTHER,.venv-flink,--editable '.[flink]')
	@touch $@

.venv/ready: pyproject.toml constraints.txt | python
	$(ENVIRONMENT)
	$(INSTALL) --editable '.[dev,bench,docs]'
	@touch $@ .venv/run

# What `cutwater run` needs and no more. While the rest is installed, the detector is compiled, which needs numba alone.
.venv/run: pyproject.toml constraints.txt | python
	@echo 'Installing what Cutwater needs into .venv, once: 1 of 3, an environment'
	@$(ENVIRONMENT)
	@echo '2 of 3, numba'
	@$(INSTALL) numba orjson zstandard
	@echo '3 of 3, everything else; and the detector is compiled for this machine'
	@$(BIN)/python -m detector & $(INSTALL) --editable .; status=$$?; wait; exit $$status
	@touch $@

python:
	@$(or $(PYTHON),false) $(is_new_enough) 2>/dev/null || { \
		echo 'Cutwater needs Python 3.11 or newer; found: $(or $(shell $(PYTHON) --version 2>/dev/null),none).' \
		'Name one: make PYTHON=/path/to/python3.11 $(or $(MAKECMDGOALS),venv)' >&2; exit 1; }

demo: .venv/run  ## Local stream, simulated sensors and the service in one; prints the page's address
	$(BIN)/cutwater demo $(ARGS)

test: venv  ## Run all tests; says at the end what could not be checked on this machine
	$(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder $(ARGS)

check: venv  ## Within a minute or so: style, types, imports, and the unit tests of what changed since main
	$(MAKE) --no-print-directory --jobs=2 --output-sync code unit

unit: venv
	$(BIN)/python -m pytest -q -n logical -m 'not servers' $$($(BIN)/python -m tests.changed) $(ARGS)

code: venv  ## Check style, types, imports, spelling and words
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m tests.words

# checkov needs 300 MB and older packages than the rest, so it has an environment of its own.
.venv-checkov/ready: | python
	$(call OTHER,.venv-checkov,checkov==3.3.30)
	@touch $@

policies: .venv-checkov/ready  ## Hold the templates to the policies of checkov; what is let pass says why in the template
	.venv-checkov/bin/checkov --framework cloudformation --compact --quiet --skip-download \
		$(foreach template,$(filter-out deploy/compose.yaml,$(wildcard deploy/*.yaml)),--file $(template))

lint: venv code policies  ## What `code` checks, and the Dockerfile, the templates and the dashboards
	$(BIN)/hadolint Dockerfile deploy/flink/Dockerfile
	$(BIN)/cfn-lint $(filter-out deploy/compose.yaml,$(wildcard deploy/*.yaml))
	$(BIN)/cutwater dashboards lint deploy/dashboards.ndjson

format: venv  ## Put the code in order
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: venv  ## Write what is made from the code: settings, documents, API, dashboards
	$(BIN)/python -m service.settings.docs
	$(BIN)/python -m service.cli.docs
	$(BIN)/python -m service.sinks.index.fields
	$(BIN)/python -m service.sinks.index.event_docs
	$(BIN)/python -m service.api.docs
	$(BIN)/python -m service.metrics
	$(BIN)/cutwater dashboards write deploy/dashboards.ndjson

docs-site: venv  ## Build the documentation into site/; a link that leads nowhere fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

picture: venv  ## Take docs/images/page.png from a running demo
	$(BIN)/python -m tests.picture docs/images/page.png

# Resolved in an environment of its own, without the old constraints, and with the build back end and its needs.
constraints: python  ## Write constraints.txt anew: the newest versions that pyproject.toml allows
	rm -rf build/resolved
	$(PYTHON) -m venv build/resolved
	build/resolved/bin/pip install --quiet --disable-pip-version-check --editable '.[dev,bench,docs]' hatchling editables
	build/resolved/bin/pip freeze --all --exclude pip --exclude-editable > constraints.txt

image:  ## Build the container image cutwater:latest
	$(ENGINE) build --tag cutwater:latest $(if $(filter arm64 aarch64,$(shell uname -m)),--build-arg CPU=generic) .

clean:  ## Remove .venv, caches and build products
	rm -rf .venv .venv-checkov .venv-flink build dist site .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
