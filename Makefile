# One command a figure: `make help` lists them. Everything runs in .venv, which the first target makes.

PYTHON ?=
BIN := .venv/bin
FIGURES := figure-1 figure-2 figure-3 figure-4 figure-5 figure-6 figure-7 figure-8 figure-9 figure-10

# What can be set on the command line; each becomes the option of the same name: SEEDS=5 is --seeds=5.
# The values go through the environment, so that no shell character in them can be misread.
SETTINGS := PROFILE DATA SEEDS EPOCHS TRAIN_SIZE TEST_SIZE BATCH_SIZE WIDTH DEVICE ENGINE RESULTS JOBS SCHEDULER
export $(SETTINGS) TARGET
given := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
unknown := $(filter-out $(SETTINGS) TARGET VERBOSE PYTHON,$(given))
ifneq ($(unknown),)
$(error no such setting: $(unknown); expected some of $(SETTINGS) TARGET VERBOSE PYTHON)
endif
lower = $(shell echo $(1) | tr '[:upper:]' '[:lower:]')
OPTIONS = $(foreach name,$(SETTINGS),$(if $($(name)),--$(call lower,$(name))="$$$(name)")) $(if $(filter VERBOSE,$(given)),--verbose)

.DEFAULT_GOAL := help
.PHONY: help all-figures $(FIGURES) plan tables claims compare report publish data test test-slow bench lint clean distclean

help: ## this list
	@grep -hE '^[a-z0-9 -]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16
	@echo
	@echo 'Settings, after any target: PROFILE=quick|smoke|full DATA=FILE|synthetic SEEDS=n EPOCHS=n TRAIN_SIZE=n TEST_SIZE=n'
	@echo 'BATCH_SIZE=n WIDTH=f DEVICE=-1|0|... ENGINE=auto|chainer|fast RESULTS=DIR JOBS=n SCHEDULER=ADDRESS VERBOSE=1 (a line an epoch). The interpreter: PYTHON=python3.11.'

all-figures: .venv/installed ## figures 1 to 10: first all missing runs, each once, then the pictures
	@$(BIN)/python -m figures all $(OPTIONS)

$(FIGURES): .venv/installed
	@$(BIN)/python -m figures.$(SECTION) $(@:figure-%=%) $(OPTIONS)

figure-1: SECTION := background
figure-1: ## the background's VGG table, drawn
figure-2: SECTION := depth
figure-2: ## section 1: networks of one, two and three blocks
figure-3: SECTION := batch_normalization
figure-3: ## section 2: the same with and without batch normalization
figure-4 figure-5: SECTION := dropout
figure-4: ## section 3: dropout ratios, train error
figure-5: ## section 3: dropout ratios, test error
figure-6 figure-7: SECTION := pooling_and_optimizers
figure-6: ## section 4: average and max pooling under three optimizers, train error
figure-7: ## section 4: the same runs, test accuracy
figure-8: SECTION := filter_size
figure-8: ## section 5: filters of 3x3, 5x5 and 7x7 pixels
figure-9: SECTION := augmentation
figure-9: ## section 6: with and without 4x data augmentation
figure-10: SECTION := best_model
figure-10: ## section 7: before and after tuning

plan: .venv/installed ## what TARGET=figure-N|claims|all-figures would train, and how long that takes; nothing is trained
	@$(BIN)/python -m figures plan $(if $(TARGET),--target="$$TARGET") $(OPTIONS)

tables: .venv/installed ## tables 1 and 2 and the memory table, as printed and as they should be
	@$(BIN)/python -m figures.background tables $(OPTIONS)

claims: .venv/installed ## decide every claim of the report: trains what is missing, measures times, writes claims.csv
	@$(BIN)/python -m figures claims $(OPTIONS)

compare: .venv/installed ## compare the figures made so far with the report's, and write comparison.csv
	@$(BIN)/python -m figures compare $(OPTIONS)

report: .venv/installed ## the report page, results/<profile>/report.html, from what has been made
	@$(BIN)/python -m figures report $(OPTIONS)

# Asked for together, under -j too, each of these comes after what it is made from; times are measured undisturbed.
asked = $(filter $(1),$(MAKECMDGOALS))
claims: | $(call asked,all-figures $(FIGURES) tables)
compare: | $(call asked,all-figures $(FIGURES) claims)
report: | $(call asked,all-figures $(FIGURES) tables claims compare)
publish: | $(call asked,all-figures $(FIGURES) tables claims compare report)

publish: .venv/installed ## put what has been made into docs/results, and the headline into README.md
	@$(BIN)/python -m figures publish $(OPTIONS)

data: .venv/installed ## download CIFAR-10 (170 MB), check it, and write data/CIFAR10.hdf5
	@$(BIN)/python -m reproduce data

test: .venv/installed-test ## run the tests
	$(BIN)/python -m pytest

test-slow: .venv/installed-test ## run the long tests too: 50 kills, 10,000 spoilt files, 200 epochs, and the like
	$(BIN)/python -m pytest -m 'slow or not slow'

bench: .venv/installed-bench ## speed of the engine beside stock Chainer and PyTorch, in one run (needs PyTorch)
	$(BIN)/python -m benchmarks

lint: .venv/installed-test ## check the style of the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean: ## remove the results; data/ and .venv stay
	rm -rf results

distclean: clean ## remove .venv, too
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .hypothesis

# Chainer's build needs pkg_resources (setuptools below 81), which an isolated build environment would not have.
.venv/installed: setup.py
	@set -e; \
	for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.10); do \
	  if $$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then echo 'Python 3.10 to 3.13 is needed, and none was found; PYTHON=/path/to/python3 names one' >&2; exit 2; fi; \
	echo "making .venv with $$($$found --version) (once, about a minute)"; \
	$$found -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'setuptools<81' wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e .
	@touch $@

.venv/installed-test: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[test]'
	@touch $@

.venv/installed-bench: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[bench]'
	@touch $@
