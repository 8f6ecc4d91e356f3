# `make` alone lists the targets. The two that matter: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
UP_ARGS := $(if $(SECONDS),--seconds $(SECONDS) --json) $(if $(LIVE),--live) $(if $(FUTURES),--futures) \
	$(if $(ASSETS),--assets $(ASSETS)) $(if $(REPLAY),--replay $(REPLAY)) \
	$(if $(SEED),--seed $(SEED)) $(if $(SQUEEZE_EVERY),--squeeze-every $(SQUEEZE_EVERY)) \
	$(if $(API_PORT),--api-port $(API_PORT)) $(ARGS)
# Servers that no variable names are started for the run and end with it.
RUN_ENV := $(if $(STORE),SQUEEZEFLOW_STORE=$(STORE)) $(if $(BUS),SQUEEZEFLOW_BUS=$(BUS))
RUN_SERVERS := $(if $(filter influx,$(STORE))$(filter redis,$(BUS)),scripts/with_servers.sh $(filter influx,$(STORE)) \
	$(filter redis,$(BUS)) --)
# What is shipped or run; tests start processes, assert and hold passwords of servers of their own.
JUDGED := squeezeflow_plugin user_data/strategies user_data/hyperopts docs docker benchmarks examples run_backtest.py

.DEFAULT_GOAL := help
.PHONY: help run test soak soak-fuzz soak-processes servers check bench docs dist format constraints secrets clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14
	@echo
	@echo "Settings of run: SECONDS=180 (stop and print a JSON summary), LIVE=1 (real exchanges), FUTURES=1,"
	@echo "ASSETS=20 (so many are traded, or those named), REPLAY=trades.parquet,"
	@echo "SEED=7, SQUEEZE_EVERY=300 (seconds between an asset's squeezes), API_PORT=8081,"
	@echo "STORE=influx, BUS=redis (servers of the run's own, unless INFLUX_URL or REDIS_URL name some)."

$(VENV)/.run: setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet -c constraints.txt -e .
	@echo "compiling the kernels, once"
	@$(BIN)/python -c "from squeezeflow_plugin.phases.engine import prepare; prepare()"
	@$(BIN)/python -c "from squeezeflow_plugin.collector.loading import prepare; prepare()"
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

run: $(VENV)/.run ## Simulated exchanges, collector and freqtrade trade in dry-run, until Ctrl-C
	@$(RUN_ENV) $(RUN_SERVERS) $(BIN)/squeezeflow up $(UP_ARGS)

servers: ## See that influxd and redis-server are there for the tests to start (apt-get as root, or docker)
	@scripts/test_servers.sh

test: $(VENV)/.dev servers ## Every test, two processes at once, with branch coverage; PYTEST_ARGS narrows it, in one
	PATH="$(abspath $(BIN)):$$PATH" TEST_SERVERS=required $(BIN)/python -m $(if $(PYTEST_ARGS),pytest -q --cov \
		--cov-report=term:skip-covered $(PYTEST_ARGS),tests.parts)

soak: $(VENV)/.dev ## Seeded faults in simulated time, on every core; SOAK_MINUTES=15 SOAK_WIRE=2000 SOAK_BOT=50 SEED=1
	$(BIN)/python -m tests.soak.bounded --seed $(or $(SEED),1) --minutes $(or $(SOAK_MINUTES),15) \
		--wire $(or $(SOAK_WIRE),2000) --bot $(or $(SOAK_BOT),50) --trades $(or $(SOAK_TRADES),$(if $(SOAK_WIRE),0,10000000)) $(SOAK_ARGS)

soak-fuzz: $(VENV)/.dev ## 100,000 spoiled frames an adapter
	$(BIN)/python -m tests.soak --schedule fuzz --seed $(or $(SEED),1) $(SOAK_ARGS)

soak-processes: $(VENV)/.dev servers ## Seeded faults of real processes and servers; SOAK_SEEDS=3 SOAK_MINUTES=60
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m tests.soak --seed $(or $(SEED),1) --seeds $(or $(SOAK_SEEDS),1) \
		--minutes $(or $(SOAK_MINUTES),0) $(SOAK_ARGS)

check: $(VENV)/.dev ## Format, lint, types, import directions, Bandit, known vulnerabilities of the pinned packages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml $(JUDGED)
	@$(BIN)/python -m tests.audit

bench: $(VENV)/.dev ## Measure; prints JSON, quoted as ratios inside one run
	@for file in benchmarks/bench_*.py; do echo "== $$file"; PYTHONPATH=. $(BIN)/python $$file || exit 1; done

docs: $(VENV)/.dev ## Build the documentation into site/; any warning is an error
	$(BIN)/python -m docs.reference
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

dist: $(VENV)/.dev ## Build sdist and wheel into dist/
	rm -rf build dist
	$(BIN)/python -m build --no-isolation

format: $(VENV)/.dev ## Format the code and order its imports
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

constraints: ## Renew constraints.txt from a clean install of the ranges in setup.cfg
	rm -rf .venv-constraints && $(PYTHON) -m venv .venv-constraints
	.venv-constraints/bin/python -m pip install --quiet -e '.[dev]'
	.venv-constraints/bin/python -m pip freeze --all --exclude pip --exclude-editable > constraints.txt
	rm -rf .venv-constraints

secrets: ## Passwords for docker-compose.yml into docker/secrets/, settings into .env; keeps what exists
	@$(PYTHON) docker/make_secrets.py

clean: ## Remove the virtual environment and every cache
	rm -rf $(VENV) build dist site *.egg-info .mypy_cache .ruff_cache .hypothesis .coverage .import_linter_cache
