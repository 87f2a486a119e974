# Each target sets up by itself what it needs: Debian packages (as root), a virtual environment, the project in it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := core plugins tests bench examples
# The source roots are put on the path as they are: the import hook of an editable install with several roots makes every
# start of the command 40 ms slower.
ROOTS := core $(wildcard plugins/*)
# Files of tests are played side by side, each worker on a private host of its own: two for each processor, since tests
# wait for half of their time, and eight at most.
WORKERS := $(shell n=$$(nproc); echo $$((n < 4 ? 2 * n : 8)))
PYTEST := $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-exhaustive unit system lint format compatibility bench clean packages environment

# A command compiles what it imports at each start where nothing keeps it, as an environment may ask of Python.
environment: packages $(VENV)/installed
	@$(BIN)/python -m compileall -q $(ROOTS)

packages:
	@tests/packages

$(VENV)/installed: pyproject.toml | packages
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@rm -f $(VENV)/lib/python3*/site-packages/__editable__.transom-*.pth
	@for site in $(VENV)/lib/python3*/site-packages; do printf '%s\n' $(abspath $(ROOTS)) >$$site/transom-source-roots.pth; done
	@touch $@

demo: environment
	@$(BIN)/python tests/demo.py

# Files that take long come first, so that no worker is busy alone at the end.
test: environment
	@$(PYTEST) tests/system tests/unit

# What takes long and tells little more than `test`, properties of what nobody has tried before, and the system tests on
# the graph driver that has most of its own code.
test-exhaustive: environment
	@$(PYTEST) tests/system tests/unit -m 'exhaustive or hypothesis' --hypothesis-profile=searching \
		--timeout=3600 -o faulthandler_timeout=0
	@TRANSOM_TEST_GRAPHDRIVER=fuse $(PYTEST) tests/system

unit: environment
	@$(PYTEST) tests/unit

system: environment
	@$(PYTEST) tests/system

lint: environment
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy core/transom $(wildcard plugins/*/transom_*)
	@$(BIN)/lint-imports

format: environment
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

compatibility: environment
	@PYTHONPATH=tests $(BIN)/python tests/compatibility_table.py

bench: environment
	@$(BIN)/python bench/run.py
	@$(BIN)/python bench/file_systems.py

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
