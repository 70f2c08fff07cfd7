# One command sets everything up: each target first makes .venv as far as it needs it. `make` lists the targets.

# The Python that .venv is made from: 3.10 or newer.
PYTHON ?= python3
# A build of torch to install before everything else, for example `make test TORCH=torch==2.13.0`. Left empty, pip takes the
# newest release, which on Linux is a CUDA build of several GB; PIP_EXTRA_INDEX_URL can name an index of smaller CPU builds.
# It is read when .venv is made: run `make clean` first to change it.
TORCH ?=
# More arguments for pytest, for example `make test PYTEST_ARGS="tests/processing_vl -x"`.
PYTEST_ARGS ?=

VENV := .venv
RUN := $(VENV)/bin/python -m
# One thread a process, so that two workers share two cores and sums are added in the same order everywhere.
TEST_ENV := HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

.PHONY: help demo bench test docs style check clean
# Two installations into one environment must not overlap, whatever -j says.
.NOTPARALLEL:

help:  ## List the targets
	@sed -n 's/^\([a-z][a-z]*\):.*  ## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-12s %s\n", $$1, $$2}'

demo: $(VENV)/demo.stamp  ## Pre-train both models on the built-in scenes and measure them (about 10 minutes on 2 free cores)
	HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false $(VENV)/bin/python examples/run_demo.py

bench: $(VENV)/demo.stamp  ## Measure speed and memory against peers (at most 20 minutes; bench_output has the results)
	HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false $(RUN) benchmarks

test: $(VENV)/dev.stamp  ## Run all tests (at most 20 minutes on 2 cores)
	$(TEST_ENV) $(RUN) pytest -n 2 --dist worksteal $(PYTEST_ARGS)

docs: $(VENV)/dev.stamp  ## Build the documents into build/docs, warnings being errors
	HF_HUB_OFFLINE=1 $(RUN) sphinx -q -W --keep-going docs build/docs
	@echo "open build/docs/index.html"

style: $(VENV)/dev.stamp  ## Format the code and mend what ruff can mend
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

check: $(VENV)/dev.stamp  ## Check format, lint, docstrings, rooms and declared dependencies
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(TEST_ENV) $(RUN) pytest tests/test_docstrings.py tests/test_floors.py tests/test_install.py

clean:  ## Remove .venv, caches and what the demo wrote
	rm -rf $(VENV) build dist demo_output bench_output *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say what .venv holds, so that nothing is installed twice. A changed setup.cfg makes .venv anew: a package that
# is no longer declared must not linger and hide that something still needs it.
$(VENV)/made.stamp: setup.cfg
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv --clear $(VENV)
	$(if $(TORCH),$(RUN) pip install '$(TORCH)')
	touch $@

$(VENV)/demo.stamp: $(VENV)/made.stamp
	$(RUN) pip install --editable '.[demo,formats]'
	touch $@

$(VENV)/dev.stamp: $(VENV)/made.stamp
	$(RUN) pip install --editable '.[dev,formats]'
	touch $@
