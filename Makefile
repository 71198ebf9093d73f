# make chat   set up, index the sample handbook, and talk to it
# make demo   set up, and close the loop: chat, feedback, training, gate, chat (some minutes, offline)
# make test   set up and run every check; what CI runs
# make check  the same without the set-up: format, lint, types, tests
# A second run does no work twice: the environment is made again only when pyproject.toml or constraints.txt change.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# uv knows how to get the torch build for machines without a GPU; pip takes what its index offers.
INSTALL = $(if $(shell command -v uv),uv pip install --python $(BIN)/python --torch-backend=cpu,$(BIN)/python -m pip install --quiet)

.PHONY: chat demo test check setup format clean

chat: $(if $(setup-done),,setup)
	@echo "== indexing examples/handbook (only what changed)"
	@$(BIN)/assistant index examples/handbook --name handbook
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN)/assistant chat --index handbook; \
	else echo "== no terminal: three sample questions"; $(BIN)/assistant chat --index handbook < examples/sample-questions.txt; fi

demo: $(if $(setup-done),,setup)
	@$(BIN)/python examples/loop/demo.py $(demo-flags)

test: setup check

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "== setting up $(VENV) (some minutes, once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) --constraint constraints.txt --editable '.[test]'
	@touch $@

check:
	@echo "== format"; $(BIN)/ruff format --check .
	@echo "== lint"; $(BIN)/ruff check .
	@echo "== types"; $(BIN)/mypy
	@echo "== tests"; $(BIN)/python -m pytest --numprocesses auto --dist worksteal

format:
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
