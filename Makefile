# Everything here needs only Python 3.11 or newer, make and a compiler. `make demo` and `make test`
# install what they need into .venv by themselves.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
CUDA_VENV := .venv-cuda

.PHONY: install demo test published check bench soak cuda gpu proto clean

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

# What can be tested of GPUs without one, cuDNN's planner and our kernels' compilation: about 2.3 GB,
# in an environment of its own.
cuda: $(CUDA_VENV)/installed
	$(CUDA_VENV)/bin/python -m pytest -m "cuda or cudnn" tests/cuda tests/cudnn

$(CUDA_VENV)/installed: constraints.txt proto/pyproject.toml server/pyproject.toml client/pyproject.toml
	$(PYTHON) -m venv $(CUDA_VENV)
	$(CUDA_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  hypothesis pytest -e ./proto -e ./client -e './server[cuda]'
	touch $@

# What needs a GPU. GPU_PYTHON is another Python that has what the engine needs: docs/gpu.md.
GPU_PYTHON ?= $(CUDA_VENV)/bin/python
gpu: $(if $(filter $(CUDA_VENV)/%,$(GPU_PYTHON)),$(CUDA_VENV)/installed)
	$(GPU_PYTHON) -m pytest -m gpu tests/gpu

# The generator's version is pinned in dev-requirements.txt, so that this leaves no diff.
proto: install
	cd proto && ../$(BIN)/python -m grpc_tools.protoc -I . --python_out=. --pyi_out=. convserve/v1/*.proto

clean:
	rm -rf .venv $(CUDA_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-output
