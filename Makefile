# Every command of the project. `make help` lists them.
# The environment is made once, in $(VENV), and again only when what it is made from has changed.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
JOBS ?= 2
DEMO_DIR ?= runs/demo
SECONDS ?= 60

RUST_SOURCES := $(shell find rust -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock
DEPS_STAMP := $(VENV)/.nexa-deps
BUILD_STAMP := $(VENV)/.nexa-build

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 24

$(UV):
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5'

# Dependencies alone (torch is the bulk of it): a changed source file doesn't touch them.
$(DEPS_STAMP): pyproject.toml | $(UV)
	$(UV) pip install --quiet --python $(BIN)/python --requirement pyproject.toml --extra dev --extra demo
	@touch $@

# The extension is built in the release profile and linked into python/nexa_data; Python files are used in place.
$(BUILD_STAMP): $(RUST_SOURCES) $(DEPS_STAMP)
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --uv --release --quiet
	@touch $@

.PHONY: build
build: $(BUILD_STAMP) ## Make the environment and build the extension

.PHONY: demo
demo: $(BUILD_STAMP) ## Run the main job on real input: digits, from source to a model that learned
	$(BIN)/nexa-data demo --output $(DEMO_DIR)

.PHONY: distill-demo
distill-demo: $(BUILD_STAMP) ## Distil a classifier: a tiny teacher on loopback, its soft targets, two students
	$(BIN)/nexa-data distill demo --teacher tests/data/teacher/tiny.gguf --output runs/distill-demo

.PHONY: test
test: test-rust test-python ## Run all tests, Rust and Python

.PHONY: test-rust
test-rust: ## Run the Rust tests
	cargo test --workspace --exclude nexa-python --locked --quiet

.PHONY: test-python
test-python: $(BUILD_STAMP) ## Run the Python tests
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m 'not slow'

.PHONY: planted-faults
planted-faults: $(BUILD_STAMP) ## Print what faults were planted in data, and what of them is found
	$(BIN)/python tests/behaviour/planted_faults.py

# A folder of its own: the flag makes every crate anew.
.PHONY: test-loom
test-loom: ## Model-check the buffer pool in every order in which its threads can take their steps
	RUSTFLAGS='--cfg loom' CARGO_TARGET_DIR=target/loom cargo test -p nexa-io --lib --release --locked --quiet pool::models

.PHONY: test-slow
test-slow: $(BUILD_STAMP) test-loom ## Run the long tests: kill points, a million lines, every order of a short epoch, a soak (NEXA_SOAK_SECONDS=600)
	cargo test -p nexa-catalog --locked --quiet -- --ignored
	cargo test -p nexa-batch --lib --release --locked --quiet -- --ignored
	$(BIN)/python -m pytest -q -m slow

.PHONY: test-wheel
test-wheel: $(BUILD_STAMP) ## Build wheel and sdist, and run the tests against the wheel in a fresh environment
	bash tests/wheel.sh $(PYTHON) $(UV)

.PHONY: test-oldest
test-oldest: $(BUILD_STAMP) ## Run the tests with the oldest dependencies that pyproject.toml allows
	bash tests/oldest.sh $(PYTHON) $(UV)

.PHONY: lint
lint: $(BUILD_STAMP) ## Check style, types, floors and stubs
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --quiet -- -D warnings
	$(BIN)/ruff check python tests benches
	$(BIN)/ruff format --check python tests benches
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest nexa_data._core --mypy-config-file pyproject.toml
	$(BIN)/lint-imports
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check bans licenses sources; else echo 'cargo-deny is not installed: its rules (deny.toml) were not checked'; fi

.PHONY: format
format: $(BUILD_STAMP) ## Format everything
	cargo fmt --all
	$(BIN)/ruff check --fix python tests benches
	$(BIN)/ruff format python tests benches

.PHONY: bench
bench: $(BUILD_STAMP) ## Run the benches: ours beside the peers and the machine's limit
	$(BIN)/python -m pytest benches -q --benchmark-disable-gc --benchmark-columns=min,median,max,rounds
	cargo bench --workspace --exclude nexa-python --locked

# fio is required; peers that aren't installed are skipped by name. BENCH_ARGS='--quick' is a smoke test.
.PHONY: bench-staging
bench-staging: $(BUILD_STAMP) ## Run the staging bench: ours beside the disk's ceiling and the peers (BENCH_ARGS=--quick)
	$(BIN)/python -m benches.staging $(BENCH_ARGS)

# The peers live in an environment of their own, since their dependencies aren't ours.
BENCH_VENV ?= .venv-bench-loaders
$(BENCH_VENV)/.peers: benches/loaders/requirements.txt pyproject.toml | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(BENCH_VENV)
	$(UV) pip install --quiet --python $(BENCH_VENV)/bin/python --requirement pyproject.toml --extra demo maturin uv torchvision --requirement benches/loaders/requirements.txt
	$(UV) pip install --quiet --python $(BENCH_VENV)/bin/python --no-deps mosaicml-streaming==0.13.0
	@touch $@

.PHONY: bench-loaders
bench-loaders: $(BENCH_VENV)/.peers $(BUILD_STAMP) ## Run the loaders' bench: ours beside the memory's limit and the peers (BENCH_ARGS=--quick)
	VIRTUAL_ENV=$(abspath $(BENCH_VENV)) $(BENCH_VENV)/bin/maturin develop --uv --release --quiet
	$(BENCH_VENV)/bin/python -m benches.loaders $(BENCH_ARGS)

FILTER_VENV ?= .venv-bench-filter
$(FILTER_VENV)/.peers: benches/filter/requirements.txt pyproject.toml | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(FILTER_VENV)
	$(UV) pip install --quiet --python $(FILTER_VENV)/bin/python --requirement pyproject.toml maturin uv --requirement benches/filter/requirements.txt
	@touch $@

.PHONY: bench-filter
bench-filter: $(FILTER_VENV)/.peers $(BUILD_STAMP) ## Run the label filter's bench: ours beside the memory's bandwidth and the peers (BENCH_ARGS=--quick)
	VIRTUAL_ENV=$(abspath $(FILTER_VENV)) $(FILTER_VENV)/bin/maturin develop --uv --release --quiet
	$(FILTER_VENV)/bin/python -m benches.filter $(BENCH_ARGS)

# Their environment is small: no torch. The one peer that wants it, mosaicml-streaming, is in the environment of the loaders' bench.
DECODE_VENV ?= .venv-bench-decode
$(DECODE_VENV)/.peers: benches/decode/requirements.txt | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) $(DECODE_VENV)
	$(UV) pip install --quiet --python $(DECODE_VENV)/bin/python maturin uv --requirement benches/decode/requirements.txt
	@touch $@

.PHONY: bench-decode
bench-decode: $(DECODE_VENV)/.peers $(BENCH_VENV)/.peers ## Run the decoding bench: source files, ours beside the peers, and prepare beside its parts (BENCH_ARGS=--quick)
	VIRTUAL_ENV=$(abspath $(DECODE_VENV)) PATH=$(abspath $(DECODE_VENV))/bin:$$PATH maturin develop --uv --release --quiet --skip-install
	PYTHONPATH=python LOADERS_PYTHON=$(abspath $(BENCH_VENV))/bin/python $(DECODE_VENV)/bin/python -m benches.decode $(BENCH_ARGS)

.PHONY: bench-distill
bench-distill: $(BUILD_STAMP) ## Run the benches of distillation: collector, journal, a million rows, soft targets on disk (BENCH_ARGS=--quick)
	$(BIN)/python -m benches.distill $(BENCH_ARGS)

.PHONY: bench-quality
bench-quality: $(BUILD_STAMP) ## Run the benches of quality: the pass, made-up records, augmentations, the page (BENCH_ARGS=--quick)
	$(BIN)/python -m benches.quality $(BENCH_ARGS)

.PHONY: bench-catalog
bench-catalog: $(BUILD_STAMP) ## Run the benches of the catalog's check: a million lines, and the shards' status
	$(BIN)/python -m pytest benches/test_bench_catalog.py -q -s
	cargo bench -p nexa-catalog --locked

.PHONY: fuzz
fuzz: ## Fuzz the catalog's parser for SECONDS=60 (needs cargo-fuzz); what breaks it lies in fuzz/artifacts
	mkdir -p target/fuzz-corpus
	cargo fuzz run --sanitizer none catalog_parse target/fuzz-corpus fuzz/corpus/catalog_parse -- \
		-max_total_time=$(SECONDS) -dict=fuzz/catalog.dict -max_len=4096 -print_final_stats=1

# One target after the other, each for SECONDS.
TEXT_TARGETS := jsonl csv unpack
.PHONY: fuzz-text
fuzz-text: $(addprefix fuzz-text-,$(TEXT_TARGETS)) ## Fuzz the readers of text formats for SECONDS=60 each (needs cargo-fuzz)

fuzz-text-%:
	mkdir -p target/fuzz-corpus-$*
	cargo fuzz run --sanitizer none $* target/fuzz-corpus-$* fuzz/corpus/$* -- \
		-max_total_time=$(SECONDS) -max_len=1024 -print_final_stats=1

# The readers of binary formats, one after the other; of Parquet and Arrow, what is ours around the libraries.
.PHONY: fuzz-sources
fuzz-sources: ## Fuzz the readers of TFRecord, WebDataset, MDS, NumPy, Arrow and Parquet files for SECONDS=60 each
	for format in tfrecord webdataset mds npy arrow arrow_stream parquet; do mkdir -p target/fuzz-corpus/source_$$format; \
		cargo fuzz run --sanitizer none source_$$format target/fuzz-corpus/source_$$format fuzz/corpus/source_$$format -- \
		-max_total_time=$(SECONDS) -max_len=16384 -malloc_limit_mb=64 -rss_limit_mb=1024 -print_final_stats=1; done

# A step writes and opens a file, so there are fewer of them a second.
.PHONY: fuzz-teacher
fuzz-teacher: ## Fuzz the journal of a collection and the reader of answers for SECONDS=60 each
	for target in teacher_journal teacher_body; do mkdir -p target/fuzz-corpus/$$target; \
		cargo fuzz run --sanitizer none $$target target/fuzz-corpus/$$target fuzz/corpus/$$target -- \
		-max_total_time=$(SECONDS) -max_len=4096 -malloc_limit_mb=64 -rss_limit_mb=1024 -print_final_stats=1; done

.PHONY: clean
clean: ## Remove what was built, the environment and the demo's output
	rm -rf target $(VENV) $(DEMO_DIR) dist python/nexa_data/_core*.so
