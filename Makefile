# The front door. `make` alone lists what it can do; the logic is in lib/ and the Snakefile.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN ?= standin
EPISODE ?=
AGAIN ?=
DOWNLOAD ?=
PROFILE ?= default
PIP_ARGS ?=
MARKS ?= slow
LAB_ARGS ?=

BIN := .venv/bin
READY := .venv/.ready
EXTRAS := .venv/.extras
CHECKS := .venv/.checks
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile $(PIP_ARGS)
XPERIENCE := $(BIN)/python -m xperience.run
# Reading every test file to find these takes each worker ten seconds.
MARKED = $$(grep -rlE --include='test_*.py' 'mark\.(slow|extras|faults)' tests)

# A setting as one word of the shell, whatever is in it: neither make nor the shell expands it.
quoted = '$(subst ','\'',$(value $(1)))'
OWN = $(if $(value EPISODE),--episode=$(call quoted,EPISODE))

# Containers often set it; then every process of hundreds would compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup extras reproduce publish sample family record site lab pair test test-slow test-faults test-extras lint format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  Settings: RUN=standin|smoke|smoke-family|sample|family  EPISODE=folder  AGAIN=1  PROFILE=slurm"

setup: $(READY) ## make .venv with everything pinned (only if the pins changed)

$(READY): requirements.lock
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one: make PYTHON=/path/to/python3.11 setup" >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	$(PIP) -r requirements.lock
	$(PIP) --no-deps --editable .
	@touch $@

extras: $(EXTRAS) ## add what Qwen3-Omni, learned features, Slurm and exports need (about 1 GB more)

$(EXTRAS): requirements-extras.lock $(READY)
	$(PIP) --constraint requirements.lock -r requirements-extras.lock
	@touch $@

$(CHECKS): requirements-test.lock $(READY)
	$(PIP) --constraint requirements.lock -r requirements-test.lock
	@touch $@

reproduce: setup ## bring a run up to date: recording, windows, notebooks, comparison, site
	@$(XPERIENCE) reproduce $(OWN) $(if $(AGAIN),--again) --profile=$(call quoted,PROFILE) \
		-- $(call quoted,RUN)

publish: setup ## make a run's results the committed reference, with which reruns are compared
	@$(XPERIENCE) publish -- $(call quoted,RUN)

sample: setup ## download the public sample (its licence is shown) and run everything on it
	@$(XPERIENCE) reproduce sample $(if $(AGAIN),--again)

family: setup ## simulate a family of recordings and run the held-out section on it
	@$(XPERIENCE) reproduce family $(if $(AGAIN),--again)

site: setup ## build the site of a run from its executed notebooks
	@$(XPERIENCE) site $(OWN) -- $(call quoted,RUN)

record: setup ## bring the published record that notebook 08 reads (its licence is shown)
	@$(XPERIENCE) record

lab: setup ## open the notebooks in JupyterLab, with the recording and windows that they read
	@$(XPERIENCE) reproduce $(OWN) --data -- $(call quoted,RUN)
	$(BIN)/jupyter lab notebooks --LabApp.default_url=/lab/tree/README.md \
		--LabApp.app_settings_dir="$(CURDIR)/notebooks/.lab" \
		--LabApp.workspaces_dir="$(CURDIR)/.venv/share/jupyter/lab/workspaces" $(LAB_ARGS)

pair: setup ## write the .ipynb half of each notebook from its .py half
	@$(XPERIENCE) pair

lint: $(CHECKS) ## check format, style and layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports

format: $(CHECKS) ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

test: lint ## check everything: lint, pairs, freshness, tests
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow and not faults"

test-slow: $(CHECKS) ## run the slow tests too (the whole graph, the site in a browser)
	@$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder -m "$(MARKS)" $(MARKED)

test-faults: $(CHECKS) ## plant faults in recordings and kill runs (XPERIENCE_KILLS=50: that many)
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m faults tests/faults

test-extras: extras $(CHECKS) ## run the fast tests that need the extras
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "extras and not slow" $(MARKED)

bench: setup ## time the simulator, features, heads, audio study and the whole run against floors
	@$(BIN)/python benchmarks/simulate.py
	-@$(BIN)/python benchmarks/features.py
	@$(BIN)/python benchmarks/suite.py
	@$(BIN)/python benchmarks/neural.py
	@$(XPERIENCE) reproduce standin
	@$(BIN)/python benchmarks/audio.py --direct --windows artifacts/standin/windows/standin.parquet \
		--episode artifacts/standin/episode
	@$(BIN)/python benchmarks/run.py standin

clean: setup ## remove what a run made; the committed reference stays (RUN=…, DOWNLOAD=1)
	@$(XPERIENCE) clean $(OWN) $(if $(DOWNLOAD),--download) -- $(call quoted,RUN)
