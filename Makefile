# Everything here needs only Python 3.11 or newer, make and a compiler. `make demo` and `make test`
# install what they need into .venv by themselves.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed

.PHONY: install demo test check bench soak proto clean

install: $(STAMP)

$(STAMP): constraints.txt dev-requirements.txt proto/pyproject.toml server/pyproject.toml client/pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  -r dev-requirements.txt -e ./proto -e './client[images]' -e ./server
	touch $(STAMP)

demo: install
	$(BIN)/python docs/examples/demo.py

test: install
	$(BIN)/python -m pytest

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

# The generator's version is pinned in dev-requirements.txt, so that this leaves no diff.
proto: install
	cd proto && ../$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. convserve/v1/*.proto

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-output
