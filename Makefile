# Two commands are the whole set-up on a bare Debian 12 with a Rust toolchain:
#   make demo    builds Rusuden, places a call to it and shows the message that comes out
#   make test    everything that CI runs
.PHONY: demo build test tests check lint doc e2e bench bench-asr load load-calls model model-smoke eval-model deny setup setup-test sounds help
.DEFAULT_GOAL := help

CARGO ?= cargo
DEMO ?=

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

demo: build ## Build in release and run one real call, end to end (DEMO=--keep leaves it running)
	@target/release/rusuden demo $(DEMO)

build: setup ## Build the release binary
	$(CARGO) build --release --locked -p rusuden

test: setup-test lint doc tests ## Everything: fmt, clippy, docs, unit, simulation, end to end
	@echo "All checks passed."

check: test ## The same

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

# Always the whole workspace: another choice of packages means other features and another build of
# every dependency.
tests: setup-test
	$(CARGO) build --workspace --locked --bins --tests
	$(CARGO) test --workspace --locked

e2e: setup-test ## Only the tests with the real binary (make e2e TEST=crash)
	$(CARGO) build --workspace --locked --bins --tests
	$(CARGO) test --workspace --locked --test e2e -- --nocapture $(TEST)

bench: setup ## criterion benches of every stage
	$(CARGO) bench --locked -p rusuden-benches

model model-smoke eval-model: ## The speech model: its recipe, a toy through every step, its figures (models/training)
	$(MAKE) -C models/training $@

ROUNDS ?= 3
ASR_MODEL ?= models/default

bench-asr: setup ## Speech to text beside faster-whisper and whisper.cpp (make bench-asr ROUNDS=5 CASES=embedded,base,small)
	python3 -m venv benches/asr/.venv
	benches/asr/.venv/bin/pip install -q --disable-pip-version-check -r benches/asr/requirements.txt
	$(CARGO) build --release --locked --workspace --example read_folder
	benches/asr/.venv/bin/python benches/asr/bench_asr.py target/release/examples/read_folder $(ASR_MODEL) $(ROUNDS)

CALLS ?= 500
SECONDS ?= 10
LOAD ?=
RATE ?= 10
MIX ?= busy

load-calls: setup ## Callers against the whole service, every call accounted for (make load-calls RATE=20 SECONDS=60 MIX=busy)
	$(CARGO) build --release --locked --workspace --bins
	target/release/rusuden-calls --rate $(RATE) --seconds $(SECONDS) --mix $(MIX) $(LOAD)

load: setup ## RTP streams against the ingest, with a report (make load CALLS=5000 SECONDS=55)
	$(CARGO) build --release --locked --workspace --bin rusuden-load
	target/release/rusuden-load --calls $(CALLS) --seconds $(SECONDS) $(LOAD)

deny: ## Licences and duplicates of all dependencies
	@command -v cargo-deny >/dev/null || $(CARGO) install --quiet --locked cargo-deny@0.20.2
	@$(CARGO) fetch --quiet --locked
	$(CARGO) deny --offline check licenses bans sources

setup:
	@scripts/setup build

setup-test:
	@scripts/setup test

sounds: ## Speak the greetings and demo messages anew
	python3 -m venv .venv && .venv/bin/pip install -q -r assets/requirements.txt
	.venv/bin/python assets/make_sounds.py
