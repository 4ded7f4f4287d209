# The tasks of the project. Each sets up .venv as needed; all they require is make and Python 3.11 or later.
.DEFAULT_GOAL := help
.SUFFIXES:
SHELL := /bin/sh

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed.stamp
TOOLS := .venv/tools.stamp
DBT := .venv-dbt/installed.stamp
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
PYTEST_WORKERS ?= auto
DOCKER ?= docker
COMPOSE ?= $(DOCKER) compose
ARGS ?=
AS_ROOT = $$([ "$$(id -u)" = 0 ] || echo sudo -n)

.PHONY: help
help: ## show this list (ARGS="…" is passed on to a target's command)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(INSTALLED) ## pull made-up data from a local Gainsight and CRM, and show the result
	@$(BIN)/gainsight-pipelines demo $(ARGS)

# Without settings, the UI opens on the sandbox.
.PHONY: dev
dev: $(INSTALLED) ## open the Dagster UI on gainsight.yaml, or on the sandbox if there is none
	@$(BIN)/gainsight-pipelines dev $(if $(GAINSIGHT_PIPELINES_SETTINGS)$(wildcard gainsight.yaml),,--sandbox) $(ARGS)

.PHONY: setup
setup: $(TOOLS) $(DBT) ## what the tests need, in .venv and .venv-dbt (at once: make --jobs 2 setup)

.PHONY: test
test: $(TOOLS) $(DBT) ## run all tests in parallel (one: make test ARGS="-k name" PYTEST_WORKERS=0)
	@$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --maxprocesses 4 --dist loadscope -m "not deploy" $(ARGS)

# Modules that start no process of the product and no browser.
QUICK = settings gainsight objects crm scheduling sandbox/test_query.py sandbox/test_soql.py sandbox/test_generate.py \
	store/test_contract.py cli/test_documented.py \
	test_matching.py test_text.py test_values.py
.PHONY: test-quick
test-quick: $(TOOLS) ## run the quick tests, in less than a minute, while you edit
	@$(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) --maxprocesses 4 --dist loadscope \
		$(addprefix gainsight_pipelines_tests/,$(QUICK)) $(ARGS)

.PHONY: test-deploy
test-deploy: $(TOOLS) ## the image and compose.yaml for real, in containers (as root, on Debian)
	@test "$$(id -u)" = 0 || sudo -n true 2>/dev/null || { \
		echo "make test-deploy builds images and runs containers: call it as root, or where sudo asks no question." >&2; \
		exit 1; }
	$(call system_packages,podman runc debootstrap,podman buildah runc netavark aardvark-dns iptables debootstrap)
	@$(AS_ROOT) env PYTHONDONTWRITEBYTECODE=1 "PATH=$$PATH:/usr/sbin:/sbin" \
		$(BIN)/python -m pytest -n 0 -p no:cacheprovider -m deploy gainsight_pipelines_tests/deployment $(ARGS)

# Docker's commands, or podman's: make up DOCKER=podman. Podman before 4.7 has no compose: make up COMPOSE=podman-compose.
# Podman keeps an image's health check only in Docker's format.
export BUILDAH_FORMAT = docker
.PHONY: image
image: ## the product's image, from deploy/Dockerfile
	@$(DOCKER) build -f deploy/Dockerfile -t $${IMAGE:-gainsight-pipelines} \
		$${PYTHON_IMAGE:+--build-arg "PYTHON_IMAGE=$$PYTHON_IMAGE"} \
		$${PIP_OPTIONS:+--build-arg "PIP_OPTIONS=$$PIP_OPTIONS"} .

.PHONY: up
up: ## PostgreSQL, code server, UI and daemon in containers (deploy/.env, deploy/etc/gainsight.yaml)
	@test -f deploy/.env || { echo "deploy/.env is missing: copy deploy/.env.example and fill it in." >&2; exit 1; }
	@test -f deploy/etc/gainsight.yaml || { echo "deploy/etc/gainsight.yaml is missing: copy your settings there." >&2; exit 1; }
	@$(COMPOSE) --env-file deploy/.env -f deploy/compose.yaml up --build --detach $(ARGS)

.PHONY: down
down: ## away with these containers; the data stay (ARGS=--volumes: the data as well)
	@$(COMPOSE) --env-file deploy/.env -f deploy/compose.yaml down $(ARGS)

# Packages of the system, where a command of theirs is missing: as root, or with sudo where that asks no question.
define system_packages
	@missing=; for each in $(1); do command -v $$each >/dev/null || missing=1; done; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" = 0 ]; then as_root=; else as_root="sudo -n"; fi; \
		export DEBIAN_FRONTEND=noninteractive; \
		$$as_root apt-get update -qq && $$as_root apt-get install -y -qq --no-install-recommends $(2); \
	fi
endef

.PHONY: browser
browser: ## headless Chromium for the tests of the UI and for screenshots, where there is none yet (apt-get)
	$(call system_packages,chromium-headless-shell,chromium-headless-shell)

.PHONY: pooler
pooler: ## PgBouncer for the tests of poolers, where there is none yet (apt-get)
	@if ! PATH="$$PATH:/usr/sbin" command -v pgbouncer >/dev/null; then \
		if [ "$$(id -u)" = 0 ]; then as_root=; else as_root="sudo -n"; fi; \
		export DEBIAN_FRONTEND=noninteractive; \
		$$as_root apt-get update -qq && $$as_root apt-get install -y -qq --no-install-recommends pgbouncer; \
	fi

.PHONY: pictures
pictures: $(TOOLS) browser ## retake the screenshots of README and docs
	@$(BIN)/python -m gainsight_pipelines_tests.page.pictures
	@$(BIN)/python -m gainsight_pipelines_tests.cli.pictures
	@$(BIN)/python -m gainsight_pipelines_tests.ui.pictures
	@$(BIN)/python -m gainsight_pipelines_tests.ui.example_picture

DOCS := build/docs-venv
.PHONY: docs
docs: $(TOOLS) $(DOCS)/installed.stamp ## the docs as a searchable site, with an API reference and llms.txt: build/site
	@$(BIN)/python -m gainsight_pipelines_tests.docs_site
	@$(DOCS)/bin/zensical build --strict --clean
	@echo "Open build/site/index.html."

$(DOCS)/installed.stamp: docs/requirements.txt
	@$(PYTHON) -m venv $(DOCS)
	@$(DOCS)/bin/python -m pip --disable-pip-version-check --no-input install --quiet --requirement docs/requirements.txt
	@touch $@

# The peers' environments are made on first use; what can't be installed is left out.
.PHONY: bench
bench: $(TOOLS) ## speed, memory and calls beside a bare script, dlt and Singer (ARGS=--quick: a minute)
	@$(BIN)/python -m bench.peers
	@$(BIN)/python -m bench $(ARGS)

.PHONY: soak
soak: $(TOOLS) ## simulate an hour of edits, faults and kills in four minutes (ARGS="--minutes 10 --seed 3")
	@$(BIN)/python -m gainsight_pipelines_tests.soak $(ARGS)

.PHONY: check
check: $(TOOLS) ## lint, format, types, import contracts, retired words
	@status=0; \
	for tool in "ruff check --quiet --output-format concise" "ruff format --check --quiet" mypy; do \
		echo "$${tool%% --*}"; $(BIN)/python -m $$tool || status=1; \
	done; \
	echo "import contracts"; $(BIN)/lint-imports --no-logo || status=1; \
	echo "retired words"; $(BIN)/python -m gainsight_pipelines_tests.words || status=1; \
	exit $$status

.PHONY: format
format: $(TOOLS) ## fix what ruff can fix
	@$(BIN)/python -m ruff check --fix --quiet . ; $(BIN)/python -m ruff format .

# The locks name no index and no local files: pip's configuration says where packages come from. The product's lock follows
# the other, so that both have the same versions.
COMPILE := CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/python -m piptools compile --quiet --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options
.PHONY: lock
lock: $(TOOLS) ## update the locks from pyproject.toml and dbt/ (ARGS=--upgrade: newest versions)
	@$(COMPILE) --all-extras --output-file requirements-dev.lock $(ARGS) pyproject.toml
	@$(COMPILE) --extra page --extra sandbox --extra embedded --extra install \
		--constraint requirements-dev.lock --no-annotate --output-file requirements.lock pyproject.toml
	@$(COMPILE) --no-annotate --pip-args "--only-binary :all:" --output-file dbt/requirements.lock $(ARGS) dbt/requirements.in

# dbt's own environment, see dbt/requirements.in. ARGS are dbt's: make dbt ARGS="build --target duckdb"
.PHONY: dbt
dbt: $(DBT) ## run dbt in dbt/, in its own environment (ARGS=build: everything)
	@cd dbt && ../.venv-dbt/bin/dbt $(or $(ARGS),--version)

.PHONY: clean
clean: ## delete .venv, .venv-dbt, caches and builds; keep data and settings
	@rm -rf .venv .venv-dbt .cache dbt/target dbt/logs build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find gainsight_pipelines gainsight_pipelines_tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are made last, so that an interrupted install is repeated. The second one includes the development tools.
# The bytecode is compiled here, on all processors (pip uses one), and for our own package as well: where
# PYTHONDONTWRITEBYTECODE is set, commands would spend a third of their start on it. Libraries' own tests are left out.
# Some libraries have files that no Python 3 compiles.
COMPILED := -m compileall -qq -j 0 -x /tests/

$(INSTALLED): requirements.lock pyproject.toml setup.cfg
	@$(call install,requirements.lock)

$(TOOLS): requirements-dev.lock pyproject.toml setup.cfg
	@$(call install,requirements-dev.lock)
	@touch $(INSTALLED)

$(DBT): dbt/requirements.lock
	@$(PYTHON) -m venv .venv-dbt; \
	echo "Installing dbt into .venv-dbt: $$(grep -c == $<) packages, half a minute, this once …"; \
	.venv-dbt/bin/python -m pip --disable-pip-version-check --no-input install --quiet --no-compile \
		--only-binary :all: --requirement $< && { .venv-dbt/bin/python $(COMPILED) .venv-dbt/lib; touch $@; }

define install
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; name one with make PYTHON=…" >&2; exit 1; }; \
	test -x $(BIN)/python || $(PYTHON) -m venv .venv \
		|| { echo "This Python can't make virtual environments: install python3-venv." >&2; exit 1; }; \
	echo "Installing into .venv: $$(grep -c == $(1)) packages, a minute or two, this once …"; \
	$(PIP) install --quiet --no-compile --requirement $(1) \
		&& PYTHONWARNINGS=ignore::UserWarning $(PIP) install --quiet --no-deps --no-build-isolation --editable . \
		&& { $(BIN)/python $(COMPILED) .venv/lib; $(BIN)/python -m compileall -q gainsight_pipelines; } \
		&& touch $@
endef
