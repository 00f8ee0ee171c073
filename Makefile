# Set-up is two commands: `make demo` and `make test`. Both install what they need into .venv.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test test-ray lint types clean docs

demo: $(STAMP)
	$(BIN)/anomech demo

test: $(STAMP)
	$(BIN)/python -m pytest

# Ray is large: where it is not installed its tests are skipped, and this command installs it.
test-ray: $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,ray]'
	$(BIN)/python -m pytest tests/engines

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy anomech

docs: $(STAMP)
	$(BIN)/python docs/generate.py

# torch comes first and exactly, so that nothing pulls a larger build of it.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "anomech needs Python 3.11 or newer; set PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

clean:
	rm -rf .venv build dist *.egg-info
