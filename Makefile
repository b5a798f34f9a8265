# One command a figure: `make help` lists them. Everything runs in .venv, which the first target makes.

# What stands behind the targets, and nothing of the same name in the environment. Text stays what it is: a $ in it names
# no variable, and $(shell ...) runs nothing.
given := $(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name)))
$(foreach name,$(given),$(eval override $(name) := $$(value $(name))))
override PYTHON := $(value PYTHON)
export PYTHON
# 1 switches these on, and 0 or nothing leaves them off.
SWITCHES := VERBOSE JSON LATEST
on = $(and $(filter $(1),$(given)),$(filter 1,$($(1))))
unclear := $(strip $(foreach name,$(filter $(SWITCHES),$(given)),$(if $(filter-out 0 1,$($(name))),$(name)=$($(name)))))
ifneq ($(unclear),)
$(error expected 0 or 1; found $(unclear))
endif
# LATEST=1 is an environment of its own, with the newest packages in place of the lock's.
latest := $(call on,LATEST)
ENVIRONMENT := .venv$(if $(latest),-latest)
BIN := $(ENVIRONMENT)/bin
FIGURES := figure-1 figure-2 figure-3 figure-4 figure-5 figure-6 figure-7 figure-8 figure-9 figure-10

# What can be set; each becomes the option of the same name: SEEDS=5 is --seeds=5.
# The values go through the environment, so that no shell character in them can be misread.
SETTINGS := PROFILE DATA SEEDS EPOCHS TRAIN_SIZE TEST_SIZE BATCH_SIZE WIDTH DEVICE ENGINE RESULTS JOBS SCHEDULER RUN FIGURE TARGET
settings := $(foreach name,$(filter $(SETTINGS),$(given)),$(if $($(name)),$(name)))
export $(settings)
unknown := $(filter-out $(SETTINGS) $(SWITCHES) PYTHON,$(given))
ifneq ($(unknown),)
$(error no such setting: $(unknown); expected some of $(SETTINGS) $(SWITCHES) PYTHON)
endif
# No command that could refuse them stands behind these: `make clean RESULTS=elsewhere` would remove ./results.
unheard := $(and $(filter test test-slow check-platforms bench lint lock clean distclean,$(MAKECMDGOALS)),$(filter-out PYTHON LATEST,$(given)))
ifneq ($(unheard),)
$(error $(MAKECMDGOALS): expected no settings; found $(unheard))
endif
define newline


endef
quoted = '$(subst $(newline), ,$(subst ','\'',$(1)))'
lower = $(shell echo $(1) | tr '[:upper:]' '[:lower:]')
OPTIONS = $(foreach name,$(filter $(SETTINGS),$(settings)),--$(call lower,$(name))="$$$(name)") $(if $(call on,VERBOSE),--verbose) $(if $(call on,JSON),--json)

.DEFAULT_GOAL := help
.PHONY: help all-figures $(FIGURES) plan tables claims compare report own-run publish data test test-slow check-platforms bench lint lock clean distclean

help: ## this list
	@grep -hE '^[a-z0-9 -]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 16
	@echo
	@echo 'Settings, after any target: PROFILE=quick|smoke|evening|overnight|full DATA=FILE|synthetic SEEDS=n EPOCHS=n TRAIN_SIZE=n TEST_SIZE=n'
	@echo 'BATCH_SIZE=n WIDTH=f DEVICE=-1|0|... ENGINE=auto|chainer|fast RESULTS=DIR JOBS=n SCHEDULER=ADDRESS VERBOSE=1 (a line an epoch).'
	@echo 'JSON=1, after plan, claims and compare: one JSON document on standard output.'
	@echo 'The interpreter: PYTHON=python3.11; the newest packages: LATEST=1.'

# A shell in between would die of a signal that make hands on, and leave the command training: so all are run by exec.
all-figures: $(ENVIRONMENT)/installed ## figures 1 to 10: first all missing runs, each once, then the pictures
	@exec $(BIN)/python -m figures all $(OPTIONS)

$(FIGURES): $(ENVIRONMENT)/installed
	@exec $(BIN)/python -m figures.$(SECTION) $(@:figure-%=%) $(OPTIONS)

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

# A figure that a section has and the list above has not; and any other name, to be told what there is.
figure-%: $(ENVIRONMENT)/installed
	@exec $(BIN)/python -m figures $(call quoted,$@) $(OPTIONS)

.DEFAULT:
	@if [ -x $(BIN)/python ]; then exec $(BIN)/python -m figures $(call quoted,$@); else echo 'no such target; make help lists them' >&2; exit 2; fi

plan: $(ENVIRONMENT)/installed ## what TARGET=figure-N|claims|all-figures would train, and how long that takes; nothing is trained
	@exec $(BIN)/python -m figures plan $(OPTIONS)

tables: $(ENVIRONMENT)/installed ## tables 1 and 2 and the memory table, as printed and as they should be
	@exec $(BIN)/python -m figures.background tables $(OPTIONS)

claims: $(ENVIRONMENT)/installed ## decide every claim of the report: trains what is missing, measures times, writes claims.csv
	@exec $(BIN)/python -m figures claims $(OPTIONS)

compare: $(ENVIRONMENT)/installed ## compare the figures made so far with the report's, and write comparison.csv
	@exec $(BIN)/python -m figures compare $(OPTIONS)

report: $(ENVIRONMENT)/installed ## the report page, results/<profile>/report.html, from what has been made
	@exec $(BIN)/python -m figures report $(OPTIONS)

own-run: $(ENVIRONMENT)/installed ## RUN=DIR FIGURE=6: a run of your own over the report's curves, drawn into its folder
	@exec $(BIN)/python -m figures own-run $(OPTIONS)

# Asked for together, under -j too, each of these comes after what it is made from; times are measured undisturbed.
asked = $(filter $(1),$(MAKECMDGOALS))
claims: | $(call asked,all-figures $(FIGURES) tables)
compare: | $(call asked,all-figures $(FIGURES) claims)
report: | $(call asked,all-figures $(FIGURES) tables claims compare)
publish: | $(call asked,all-figures $(FIGURES) tables claims compare report)

publish: $(ENVIRONMENT)/installed ## put what has been made into docs/results, and the headline into README.md
	@exec $(BIN)/python -m figures publish $(OPTIONS)

data: $(ENVIRONMENT)/installed ## download CIFAR-10 (170 MB), or take DATA=FILE, check it, and write data/CIFAR10.hdf5
	@exec $(BIN)/python -m reproduce data $(OPTIONS)

test: $(ENVIRONMENT)/installed-test ## run the tests
	exec $(BIN)/python -m pytest

test-slow: $(ENVIRONMENT)/installed-test ## run the long tests too: 50 kills, 10,000 spoilt files, 200 epochs, and the like
	exec $(BIN)/python -m pytest -m 'slow or not slow'

check-platforms: .venv/installed-test ## the engine on emulated processors: arm64, and x86-64 without AVX (an hour; needs qemu-user)
	exec .ci/emulated

bench: $(ENVIRONMENT)/installed-bench ## speed of the engine and of stock Chainer and PyTorch, in one run (needs PyTorch)
	exec $(BIN)/python -m benchmarks

lint: $(ENVIRONMENT)/installed-test ## check the style, the spelling and the types of the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy

# uv reads what the files hold, and keeps each version that setup.py still allows.
LOCK := uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command 'make lock'
lock: .venv/installed-test ## requirements*.lock anew, after a change of setup.py
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	printf 'setuptools<81\nwheel\n' | $(BIN)/$(LOCK) - -o requirements-build.lock
	$(BIN)/$(LOCK) -b requirements-build.lock -c requirements-build.lock setup.py -o requirements.lock
	$(BIN)/$(LOCK) -b requirements-build.lock -c requirements-build.lock -c requirements.lock --extra test setup.py -o requirements-test.lock

clean: ## remove the results; data/ and .venv stay
	rm -rf results

distclean: clean ## remove .venv, too
	rm -rf .venv .venv-latest build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

# Python 3.10 to 3.14 under any of its names, or else a newer one; install.py says what a newer one lacks.
INSTALL = @found=; newer=; older=; \
	for python in $(if $(PYTHON),"$$PYTHON",python3 python3.14 python3.13 python3.12 python3.11 python3.10 python); do \
	  version=$$("$$python" -c 'import sys; print("%d %02d" % sys.version_info[:2])' 2>/dev/null) || version=none; \
	  case $$version in \
	    none) ;; \
	    '3 10'|'3 11'|'3 12'|'3 13'|'3 14') found=$$python; break ;; \
	    '2 '*|'3 0'*) older="$$older; $$python is $$("$$python" --version 2>&1)" ;; \
	    *) newer=$${newer:-$$python} ;; \
	  esac; \
	done; \
	found=$${found:-$$newer}; \
	if [ -z "$$found" ]; then \
	  [ -z "$$PYTHON" ] || [ -n "$$older" ] || older="; $$PYTHON does not start"; \
	  echo "Python 3.10 or newer is needed$${older:-, and none was found}; PYTHON=/path/to/python3 names one" >&2; exit 2; \
	fi; \
	exec "$$found" install.py $(if $(latest),--latest)

# The lock's versions, or with LATEST=1 setup.py's newest.
$(ENVIRONMENT)/installed: setup.py $(if $(filter .venv,$(ENVIRONMENT)),$(wildcard requirements*.lock))
	$(INSTALL)

# A Python that is named sees whether it is the one that made what is there.
ifneq ($(filter PYTHON,$(given)),)
  .PHONY: $(ENVIRONMENT)/installed
endif

$(ENVIRONMENT)/installed-test $(ENVIRONMENT)/installed-bench: $(ENVIRONMENT)/installed
	$(INSTALL) $(@:$(ENVIRONMENT)/installed-%=%)
