# Set-up, build and proof of meshctl. `make demo` and `make test` need nothing done before.
SHELL := /bin/bash
export CARGO_TARGET_DIR ?= $(CURDIR)/target
export PATH := $(PATH):/usr/sbin:/sbin:$(HOME)/.cargo/bin
RELEASE := $(CARGO_TARGET_DIR)/release
# Captured traffic, namespaces and cgroups need root; the build never does.
ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo -E)
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')

.PHONY: help deps build demo test check bench clean
help: ## what each target does
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

deps: ## install what is missing, start nothing
	@.ci/deps

build: deps ## target/release/meshctl and meshd
	cargo build --locked --release --bins

demo: build ## a mesh on this host: captured calls, a canary, an outage; host as before
	$(ROOT) $(RELEASE)/meshctl demo

# One build for programs and tests: built apart, every dependency would be compiled twice, with
# and without the features only tests ask for.
test: deps ## every test (root, in namespaces of their own), and proof that the host is as before
	cargo build --locked --workspace --bins --tests
	@$(ROOT) .ci/host-state >$(CARGO_TARGET_DIR)/host-before
	$(if $(ROOT),CARGO_TARGET_$(HOST)_RUNNER='$(ROOT)') cargo nextest run --locked --workspace --profile ci
	@$(ROOT) .ci/host-state >$(CARGO_TARGET_DIR)/host-after
	@diff -u $(CARGO_TARGET_DIR)/host-before $(CARGO_TARGET_DIR)/host-after && echo "host unchanged (verified)"

check: ## what needs no root: format, lints, import rules, generated files
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --all-features check; else echo "cargo-deny is not installed: skipped"; fi
	cargo test --locked --workspace --quiet --test layers --test covers --test generated

bench: deps ## our proxy beside HAProxy, nginx and Envoy: bench/README.md
	bench/setup
	cargo build --locked --release --bins
	$(ROOT) python3 bench/run.py --programs $(RELEASE)

clean:
	cargo clean
