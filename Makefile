# Everything happens inside this checkout: environment, weights and engines.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export AFITRT_HOME ?= $(CURDIR)
export PYTHONPATH := $(CURDIR)/export:$(CURDIR)/bench:$(CURDIR)/tests
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo test test-quick test-ffmpeg check graphs figures docs bench bench-quick clean

help:  ## show the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/run.stamp: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	@touch $@

$(VENV)/dev.stamp: $(VENV)/run.stamp
	$(PIP) --editable '.[dev]'
	@touch $@

$(VENV)/export.stamp: $(VENV)/dev.stamp
	$(PIP) --editable '.[export,docs,tensorrt-rtx]'
	@touch $@

demo: $(VENV)/run.stamp  ## smooth a real clip with the real network
	$(BIN)/python bench/demo.py demo

# Two test processes share two cores: torch's threads must not spin while they wait for each other.
test test-quick test-ffmpeg: export GOMP_SPINCOUNT := 0

test: $(VENV)/export.stamp check  ## all tests
	@mkdir -p .cache
	$(BIN)/python -m pytest -n 2 --dist worksteal --basetemp .cache/pytest

test-quick: $(VENV)/dev.stamp check  ## tests that need neither network, weights nor torch
	@mkdir -p .cache
	$(BIN)/python -m pytest -n 2 --basetemp .cache/pytest -m 'not weights and not export and not slow'

# make test-ffmpeg FFMPEG=/another/ffmpeg: files are made by the bundled ffmpeg, and read and encoded by that one.
FFMPEG ?= /usr/bin/ffmpeg
FILE_TESTS := $(wildcard tests/test_video*.py) $(patsubst %,tests/test_%.py,\
	alpha bad_input captions compare damage decode_errors doors encryption ffmpeg_discovery filters matrix pictures \
	planes preview stream_selection times timestamp_jumps)

test-ffmpeg: export AFITRT_FFMPEG = $(FFMPEG)
test-ffmpeg: $(VENV)/dev.stamp  ## tests of files with another ffmpeg than the one that would be used
	@mkdir -p .cache
	$(BIN)/python -m pytest -n 2 --dist worksteal --basetemp .cache/pytest -m 'not weights and not export' $(FILE_TESTS)

check: $(VENV)/dev.stamp  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin
	$(BIN)/mypy --platform win32 --cache-dir .mypy_cache/win32

graphs: $(VENV)/export.stamp  ## remake afitrt/graphs from export/ (torch)
	$(BIN)/python -m afitrt_export

figures: $(VENV)/export.stamp  ## remake the pictures of the docs (minutes)
	$(BIN)/python bench/smoothness.py
	$(BIN)/python bench/strip.py
	$(BIN)/python docs/figures.py
	$(BIN)/python docs/tutorial_pictures.py

docs: $(VENV)/dev.stamp  ## remake the reference: docs/reference/cli.md, and the Python API in build/docs
	$(PIP) --editable '.[docs]'
	$(BIN)/python docs/make_reference.py

bench: $(VENV)/export.stamp  ## measure against the published network (half an hour)
	$(PIP) --editable '.[docs]'
	$(BIN)/python bench/run.py

bench-quick: $(VENV)/export.stamp  ## the same at 448x256 only
	$(BIN)/python bench/run.py --quick

clean:  ## remove the environment, caches, weights and engines
	git clean -Xfdq
