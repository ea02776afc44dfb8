# make demo: the sample report; make test: the tests. Both set up .venv first, on a fresh machine too.

# Byte code is kept whatever the environment says (images for containers and CI forbid it): without it each
# process compiles PyTorch anew, which takes longer than to import it.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
NEVER_IMPORTED := /site-packages/(.*/)?(tests?|testing/_internal|_inductor|pip|setuptools|mypyc?|onnxruntime|pygments)/
PURELIB := $$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
COMPILE := $(BIN)/python -m compileall -q -x '$(NEVER_IMPORTED)'

.DEFAULT_GOAL := help
.PHONY: help demo test nightly fuzz check format docs bench gpu reports index clean

help: ## Show what can be made
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "expected Python 3.11 or newer, found $$($(PYTHON) --version); set PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@# Compiled once, so that runs start fast where no byte code may be written; but not what seviz and its tests never
	@# import. pip unpacks on one core: the other compiles what is there already, and both the rest, of which the largest
	@# packages are the last by name. What was compiled while it was being written has another size, and is compiled
	@# again. A file for another Python is no error.
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev]' & unpacking=$$!; \
		while sleep 2; kill -0 $$unpacking 2>/dev/null; do $(COMPILE) $(PURELIB) >/dev/null 2>&1; done; \
		wait $$unpacking
	ls -dr seviz $(PURELIB)/* | xargs -n 8 -P $$(getconf _NPROCESSORS_ONLN) $(COMPILE) || true
	@touch $(READY)

demo: $(READY) ## Make the report of a small SE network on handwritten digits, and open it
	$(BIN)/seviz demo

test: $(READY) ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

nightly: $(READY) ## Run what takes long: every network of the zoos; the result goes to tests/nightly.md
	OMP_NUM_THREADS=1 $(BIN)/python tests/nightly.py

fuzz: $(READY) ## Read 300 damaged files of every format; the result goes to tests/fuzz.md
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m fuzz

check: $(READY) ## Lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(READY) ## Build the pages of docs/ into docs/_build/html; a warning is an error
	@$(BIN)/python -c 'import sphinx, myst_parser, furo' 2>/dev/null || \
		$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --jobs auto docs docs/_build/html
	@echo docs/_build/html/index.html

bench: $(READY) ## Measure start-up, memory, passes, audits, matrices, ablations with CIFAR10=folder (two hours)
	$(BIN)/python -m pip install --quiet '.[bench]'
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/singles.py
	$(BIN)/python benchmarks/large.py
	$(BIN)/python benchmarks/audit.py
	$(BIN)/python benchmarks/confusion.py
	$(BIN)/python benchmarks/collect.py --images 256 1024 4096
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/engines.py --held AVX2
	$(BIN)/python benchmarks/loaders.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/exported.py
	$(BIN)/python benchmarks/endtoend.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/records.py
	$(BIN)/python benchmarks/streaming.py --cifar10 $(CIFAR10)
	$(BIN)/python benchmarks/ablate.py $(CIFAR10)
	$(BIN)/python -m pytest benchmarks/answers.py
	$(BIN)/python benchmarks/frames.py

gpu: $(READY) ## Measure everything on a GPU, in 8 minutes; benchmarks/gpu.json and a table in benchmarks/README.md
	$(BIN)/python benchmarks/gpu.py

reports: $(READY) ## Make the reports of the sample checkpoints; CIFAR10=folder with train/ and test/
	$(BIN)/python reports/make.py $(CIFAR10)

index: $(READY) ## Index the networks of the timm and torchvision that are installed (some minutes)
	$(BIN)/python -m seviz.networks.recognise.zoo_index.make

clean: ## Remove what was set up and cached
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
