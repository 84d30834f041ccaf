# Everything here needs only Python 3.11 or newer, make and a compiler. `make demo` and `make test`
# install what they need into .venv by themselves.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
CUDNN_VENV := .venv-cudnn

.PHONY: install demo test published check bench soak cudnn proto clean

install: $(STAMP)

$(STAMP): constraints.txt dev-requirements.txt proto/pyproject.toml server/pyproject.toml client/pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  -r dev-requirements.txt -e ./proto -e './client[images,plots]' -e ./server
	touch $(STAMP)

demo: install
	$(BIN)/python docs/examples/demo.py

test: install
	$(BIN)/python -m pytest

# The models of published tables that `make test` leaves out: about a minute.
published: install
	$(BIN)/python -m pytest -m published

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python deploy/check.py
	$(MAKE) proto
	@changed="$$(git status --porcelain -- proto/convserve/v1)"; \
	  test -z "$$changed" || { echo "make proto changed:"; echo "$$changed"; exit 1; }

# PEERS is a virtual environment of tests/benchmarks/peers/README.md; JSON is a file to write;
# NAMES are of tests/benchmarks/README.md; QUICK=1 is for a look.
bench: install
	$(BIN)/python -m tests.benchmarks $(NAMES) $(if $(QUICK),--quick) \
	  $(if $(PEERS),--peers $(PEERS)) $(if $(JSON),--json $(JSON))

soak: install
	$(BIN)/python -m tests.load.soak --seconds $(or $(SECONDS),600) --seed $(or $(SEED),1)

# The tests of cuDNN's planner: about 900 MB, in an environment of its own; no GPU is needed.
cudnn: $(CUDNN_VENV)/installed
	$(CUDNN_VENV)/bin/python -m pytest -m cudnn tests/cudnn

$(CUDNN_VENV)/installed: constraints.txt proto/pyproject.toml server/pyproject.toml client/pyproject.toml
	$(PYTHON) -m venv $(CUDNN_VENV)
	$(CUDNN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  hypothesis pytest -e ./proto -e ./client -e './server[cudnn]'
	touch $@

# The generator's version is pinned in dev-requirements.txt, so that this leaves no diff.
proto: install
	cd proto && ../$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. convserve/v1/*.proto

clean:
	rm -rf .venv $(CUDNN_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-output
