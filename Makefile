# Every target sets up what it needs in .venv; nothing but python3 (3.11 or newer) and make is assumed.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

PIP = $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

.PHONY: help tools install run wheel test bench torture fuzz check format contract mutants operators fidelity faults catalogue gallery screenshots models clean
.DEFAULT_GOAL := run

help:  ## list these targets
	@$(PYTHON) -c 'import re; [print(f"make {name:10}{text}") for name, text in re.findall(r"(?m)^(\w+):.*?## (.*)", open("Makefile").read())]'

tools: install  ## install what some tests need: clients from npm, litellm, Chromium, the fuzzer
	@.ci/tools

install: .venv/installed  ## set up .venv with all that the tests need

.venv/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("falmock needs Python 3.11 or newer; try: make PYTHON=python3.12 $(MAKECMDGOALS)")'
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/served: pyproject.toml constraints.txt | .venv/python
	@$(PIP) --editable .
	@touch $@

.venv/installed: pyproject.toml constraints.txt | .venv/python
	@$(PIP) --quiet --editable '.[dev]'
	@touch .venv/served $@

run: .venv/served  ## serve the emulator: make run ARGS="--port 9000"
	@exec $(BIN)/falmock serve $(ARGS)

wheel: .venv/python  ## build dist/falmock-*.whl, to install elsewhere
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

# Hundreds of processes use what the first one compiles.
test bench: export PYTHONDONTWRITEBYTECODE =
test: install  ## run the tests, in random order, on every core; COVERAGE=1 prints what they cover
	@$(if $(COVERAGE),$(BIN)/coverage erase)
	@$(BIN)/$(if $(COVERAGE),coverage run,python) -m pytest -n logical --dist worksteal $(ARGS)
	@$(if $(COVERAGE),$(BIN)/coverage combine --quiet)
	@$(if $(COVERAGE),$(BIN)/coverage report)

torture: install  ## kill the emulator under load, fill its disk, soak it: several minutes
	@FALMOCK_TORTURE=long $(BIN)/pytest tests/torture --log-cli-level=info $(ARGS)

fuzz: install  ## fuzz one parser of untrusted bytes: make fuzz ARGS="picture -max_total_time=60"
	@$(PIP) --quiet atheris
	@PYTHONPATH=tests/support $(BIN)/python tests/fuzz/fuzz.py $(ARGS)

check: install  ## formatter, linter, types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/mypy tests
	@$(BIN)/mypy bench

format: install  ## apply the formatter and the linter's fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: install  ## measure falmock beside a bare Starlette application and aimock: make bench ARGS=--quick
	@cd bench/node && [ node_modules -nt package-lock.json ] || ! command -v npm > /dev/null || npm ci --silent || true
	@$(BIN)/python -m bench $(ARGS)

contract: install  ## check the properties of fal's queue on the emulator: make contract ARGS="--property P17"
	@$(BIN)/falcontract run $(ARGS)

mutants: install  ## check that the properties find every planted bug
	@$(BIN)/falcontract mutants $(ARGS)

operators: install  ## change the emulator's source at random places, and list what no property finds: many minutes
	@$(BIN)/falcontract operators $(ARGS)

fidelity: install  ## write docs/fidelity.md
	@$(BIN)/falcontract fidelity --markdown > docs/fidelity.md

faults: install  ## write docs/faults.md
	@$(BIN)/python tests/support/fault_table.py > docs/faults.md.new && mv docs/faults.md.new docs/faults.md

catalogue: install  ## write mockserver/falmock/catalogue/data/listed.jsonl from the npm releases of @fal-ai/client
	@$(BIN)/python tests/support/catalogue_data.py

gallery: install  ## make gallery.png, a sheet of all media for a prompt: make gallery ARGS="A lego chef"
	@$(BIN)/python fixtures/gallery.py gallery.png docs/gallery.jpg $(ARGS)

screenshots: install  ## make docs/page-*.jpg, pictures of the live page, with Chromium
	@$(BIN)/python fixtures/screenshots.py docs

models: install  ## run every bundled model and probe its files: some ten minutes
	@FALMOCK_MODELS=all $(BIN)/pytest -n logical tests/falmock/catalogue $(ARGS)

clean:  ## remove what the targets above made
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
