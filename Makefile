# `make demo` and `make test` do everything, from a bare Debian 12 on; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_CONSTRAINT := $(CURDIR)/.ci/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PATH := $(CURDIR)/$(BIN):$(PATH):/usr/sbin:/usr/local/sbin

.PHONY: help demo test lint types sanitize bench fuzz prove sim mutate clean prerequisites install uninstall

help:
	@echo "make demo    run a simulated depot for about 90 s, with faults; the report is in demo-report/"
	@echo "make test    build and run all tests"
	@echo "make lint    ruff, cython-lint"
	@echo "make types   mypy"
	@echo "make sanitize the kernel's tests on a build with overflow checks and sanitizers"
	@echo "make bench   print figures: name, value, unit, ratio to a reference in the same run"
	@echo "make fuzz    a million inputs at the command path; ARGS='--inputs N --seed S'"
	@echo "make prove   the long proofs that are too slow for every change"
	@echo "make install [PREFIX=/usr/local] [DESTDIR=]    the tool, the service, manual and completions"
	@echo "make uninstall [PREFIX=...] [PURGE=1]           PURGE=1: site file and state as well"
	@echo "make sim     the whole daemon on drawn sites with drawn faults, 250 site-hours; ARGS=--help"
	@echo "make mutate  do tests notice small wrong changes of the judgement? ARGS='--sample 300'; --help"
	@echo "make clean   remove what was built"

prerequisites:
	@PYTHON=$(PYTHON) .ci/prerequisites

$(BIN)/python: | prerequisites
	@$(PYTHON) -m venv $(VENV)

# The environment is rebuilt when its description or the kernel's source changes.
$(STAMP): pyproject.toml .ci/constraints.txt $(wildcard ext/*.pyx ext/*.pxi) | prerequisites $(BIN)/python
	@echo "building edgectl into $(VENV)"
	@$(BIN)/python -m pip install -q --upgrade pip
	@# setuptools warns at every build that ext-modules in pyproject.toml are new to it
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install -q -e '.[demo,test,lint]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/edgectl demo $(ARGS)

test: $(STAMP)
	@# Some tests calculate for long and some wait for real brokers and clocks: a third process fills the waits, and
	@# whoever is done takes of what another has left.
	@$(BIN)/python -m pytest -q -n 3 --dist worksteal $(ARGS)

lint: $(STAMP)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/cython-lint --max-line-length 100 ext

types: $(STAMP)
	@$(BIN)/mypy

sanitize: $(STAMP)
	@.ci/sanitize -n 2 tests/kernel $(ARGS)

bench: $(STAMP)
	@$(BIN)/python -m tests.bench $(ARGS)

fuzz: $(STAMP)
	@$(BIN)/python -m tests.fuzz $(ARGS)

prove: $(STAMP)
	@$(BIN)/python -m pytest -q -n 2 --prove $(ARGS)

PREFIX ?= /usr/local

install: prerequisites
	@PYTHON="$(PYTHON)" PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" VENV="$(USE_VENV)" systemd/install install

uninstall:
	@PREFIX="$(PREFIX)" DESTDIR="$(DESTDIR)" PURGE="$(PURGE)" systemd/install uninstall

sim: $(STAMP)
	@$(BIN)/python -m tests.trials $(ARGS)

mutate: $(STAMP)
	@$(BIN)/python -m tests.mutation $(ARGS)

clean:
	rm -rf $(VENV) build dist *.egg-info ext/*.c edgectl/*.so demo-report .pytest_cache .mypy_cache .ruff_cache .hypothesis
