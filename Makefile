# Outcrop: `make run` on a fresh machine ends with a model answering; `make test` with
# every check passed. Both install what they need (Debian/Ubuntu; elsewhere they say what).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Rust may just have been installed; the tests' own tools lie in .venv/bin.
export PATH := $(HOME)/.cargo/bin:$(PATH):$(CURDIR)/.venv/bin

# llama.cpp is a few hundred C++ files: a compiler cache makes the next clean clone
# build in minutes. Without ccache the build is only slower.
export CMAKE_C_COMPILER_LAUNCHER ?= $(shell command -v ccache 2>/dev/null)
export CMAKE_CXX_COMPILER_LAUNCHER ?= $(shell command -v ccache 2>/dev/null)
# The sources are compiled inside target/: without these, every clone's path would be a
# different compilation.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := true

# One profile, one target folder and one selection of packages for run, tests and
# benchmarks: cargo resolves features per selection, so `--package outcrop` beside
# `--workspace` would build llama.cpp a second time.
CARGO_BUILD := cargo build --release --locked --workspace
OUTCROP := target/release/outcrop
XTASK := target/release/xtask

.PHONY: help setup build run model test lint deny unit conformance fuzz vulkan dist bench clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## Install what a build needs
	@scripts/setup.sh run

build: setup ## Build the release binary
	@$(MAKE) --no-print-directory compile

# A second make, so that a compiler cache that setup has just installed is found.
.PHONY: compile
compile:
	@$(CARGO_BUILD) --bins

run: build ## Build, fetch the default model, and serve it on 127.0.0.1:8080 and :8443
	@exec $(OUTCROP) serve

model: build ## Fetch the default models: one that chats, one that embeds
	@$(OUTCROP) pull smollm2-135m-instruct
	@$(OUTCROP) pull all-minilm-l6-v2

test: ## Set up everything, then lint, unit tests, real SDKs, fuzzing
	@scripts/setup.sh test
	@$(MAKE) --no-print-directory lint deny unit conformance fuzz

lint: compile ## Formatting, clippy, the walls
	@cargo fmt --all --check
	@cargo fmt --check --manifest-path conformance/rust/Cargo.toml
	@cargo clippy --release --locked --workspace --all-targets -- -D warnings
	@$(XTASK) tidy

deny: ## Licences, sources and (where their database can be reached) advisories of every dependency
	@command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny@0.20.2
	@cargo deny --offline check --hide-inclusion-graph bans licenses sources
	@cargo fetch --quiet --locked --manifest-path conformance/rust/Cargo.toml
	@cargo deny --offline --config deny.toml --manifest-path conformance/rust/Cargo.toml \
	 check --hide-inclusion-graph bans licenses sources
	@if cargo deny fetch db >/dev/null 2>&1; then cargo deny check advisories; \
	 else echo "advisories: their database cannot be reached from here, not checked"; fi

unit: compile model ## Rust tests of every layer, with the real model
	@cargo nextest run --release --locked --workspace

conformance: compile model conformance-rust ## Official SDKs and coding agents against a live server
	@.venv/bin/python -m pytest -q conformance

# A workspace of its own, compiled without optimisation: a minute of work, once.
.PHONY: conformance-rust
conformance-rust:
	@cargo build --quiet --locked --manifest-path conformance/rust/Cargo.toml --target-dir target/conformance

# One seed, so that runs go much the same way; `cargo xtask fuzz` looks elsewhere each time.
fuzz: compile ## Every fuzz target for FUZZ_SECONDS (10)
	@$(XTASK) fuzz --seed 1 --seconds $(or $(FUZZ_SECONDS),10)

# Builds of their own, each in a folder of its own, and long: no part of `make test`.
# llama.cpp passes software drivers over unless it is told which one to take.
vulkan: ## Build for Vulkan and try it on this machine's device, or on a software driver
	@scripts/setup.sh vulkan
	@$(MAKE) --no-print-directory try-vulkan
.PHONY: try-vulkan
try-vulkan: export CARGO_TARGET_DIR := target/vulkan
try-vulkan:
	@$(CARGO_BUILD) --bins --features outcrop/vulkan
	@target/vulkan/release/outcrop pull smollm2-135m-instruct
	@scripts/vulkan.sh

dist: setup ## Build a release for every processor of this architecture, into target/dist
	@cargo xtask dist

bench: compile ## The gateway against a bare proxy
	@$(XTASK) bench gateway

clean: ## Remove build results (models and keys stay)
	@rm -rf target fuzz/target .venv conformance/js/node_modules conformance/agents/node_modules
