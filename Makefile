# Two commands matter: `make demo` and `make test`. Everything else is a part of them.
# Needed on the host: what the first step names when it is missing, with the command that installs it.

.DEFAULT_GOAL := help
.PHONY: help env engines demo test mutants recount replay chaos bench reset down lock
MAKEFLAGS += --no-print-directory

HOST_PYTHON := sh deploy/python.sh
VENV_PYTHON := .venv/bin/python
COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
           --no-emit-index-url --no-emit-find-links --no-header --no-annotate pyproject.toml

help:
	@echo 'make demo     set everything up, start the five services, run a letter through them (DEMO_EXIT=1: then end;'
	@echo '              SIGN_IN=1: with an identity provider at which staff sign in)'
	@echo 'make test     format, lint, types, import rules and all tests, on real engines'
	@echo 'make mutants  break the code of each rule and see its test fail; ONLY=R4.2 tries one rule'
	@echo 'make recount  count every figure of 300 periods over 20,000 letters a second time, in memory and as served'
	@echo 'make replay   let a thousand real letters of nine years go their way, a day at a time; LETTERS=n lets n'
	@echo 'make chaos    ten minutes of letters under random faults, then a check of everything; SEED=n repeats one'
	@echo 'make bench    measure; ONLY=<name> runs one measurement'
	@echo 'make engines  start Kafka and the document store only, and print their addresses'
	@echo 'make down     stop the engines; data stays'
	@echo 'make reset    stop the engines of the demonstration and forget its data'
	@echo 'make env      make .venv from the hash-pinned lock, where the lock has changed'
	@echo 'make lock     pin the dependencies in pyproject.toml anew'

env:
	@$(HOST_PYTHON) -m deploy.env

engines:
	@$(HOST_PYTHON) -m deploy.env --engines dev
	@$(VENV_PYTHON) -m deploy.engines up

demo:
	@$(HOST_PYTHON) -m deploy.env --engines dev
	@exec $(VENV_PYTHON) -m $(if $(SIGN_IN),deploy.demo_provider,deploy.demo)

test:
	@$(HOST_PYTHON) -m deploy.env --engines test --browser --tools
	@$(VENV_PYTHON) -m deploy.check

mutants:
	@$(HOST_PYTHON) -m deploy.env --engines test --browser
	@ONLY='$(ONLY)' $(VENV_PYTHON) -m tests.mutants

recount:
	@$(HOST_PYTHON) -m deploy.env --engines test
	@RECOUNT_PERIODS=300 RECOUNT_SERVED=20000 .venv/bin/pytest -q tests/recount

replay:
	@$(HOST_PYTHON) -m deploy.env --engines test
	@REPLAY_LETTERS='$(or $(LETTERS),1000)' .venv/bin/pytest -q tests/e2e/test_replay.py

chaos:
	@$(HOST_PYTHON) -m deploy.env --engines chaos --tools
	@SEED='$(SEED)' CHAOS_SECONDS='$(CHAOS_SECONDS)' $(VENV_PYTHON) -m tests.chaos

bench:
	@$(HOST_PYTHON) -m deploy.env --engines bench
	@ONLY='$(ONLY)' $(VENV_PYTHON) -m tests.bench

down:
	@$(HOST_PYTHON) -m deploy.engines down
	@$(HOST_PYTHON) -m deploy.engines down --name test
	@$(HOST_PYTHON) -m deploy.engines down --name bench
	@$(HOST_PYTHON) -m deploy.engines down --name chaos

reset:
	@$(HOST_PYTHON) -m deploy.engines reset

lock:
	@$(HOST_PYTHON) -m deploy.env
	@$(COMPILE) --output-file requirements.lock
	@$(COMPILE) --extra dev --output-file requirements-dev.lock
