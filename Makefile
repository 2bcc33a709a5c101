# The tasks of this project. `make help` lists them; `make ci` is what CI runs.

SHELL := /bin/sh
CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help demo run check fmt lint doc test endurance scorecard eval soak bench bench-gateway bench-pick bench-roster sqlx test-clients ci ci-queries mcp-servers postgresql rust

help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: rust postgresql ## Build, serve, send a real request, show the agent picked, why, and its answer
	$(CARGO) build --quiet
	scripts/demo

run: rust postgresql ## Serve on 127.0.0.1:8080 with a private database in .rolecall
	$(CARGO) run

check: rust ## Type-check everything
	$(CARGO) check --all-targets

fmt: rust ## Format the code
	$(CARGO) fmt

lint: rust ## Check format and lints
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --quiet -- --deny warnings

doc: rust ## Build the code's documentation, warnings as errors
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --no-deps --quiet --document-private-items

test: rust postgresql mcp-servers ## Run all tests
	scripts/with-postgres $(CARGO) test
	$(MAKE) --no-print-directory endurance

endurance: rust postgresql ## Run the tests that need the machine for themselves: 10,000 abandoned streams and their like
	scripts/with-postgres $(CARGO) test --quiet --test it endurance -- --ignored --show-output

scorecard: rust postgresql ## Print how a run comes through every public fault of providers
	scripts/with-postgres $(CARGO) test --quiet --test it scorecard -- --nocapture

eval: rust ## Measure how well requests find their agents; EVAL_SET=FOLDER adds that folder's driver
	$(CARGO) build --quiet
	scripts/evaluate

soak: rust postgresql ## Send 200,000 mixed requests with faults, and look at memory and records
	SOAK_REQUESTS=200000 scripts/with-postgres $(CARGO) test --release --test it soak -- --ignored --show-output

bench: rust ## Measure how long definitions take to read
	$(CARGO) bench --bench parse

bench-gateway: rust postgresql ## Measure the service as a gateway, against a bare proxy
	$(CARGO) build --release --quiet
	scripts/with-postgres $(CARGO) bench --quiet --bench gateway

bench-pick: rust ## Measure how long a pick takes, and how soon a changed agent can be picked
	$(CARGO) bench --bench pick

bench-roster: rust postgresql ## Measure a roster of 10,000 agents: syncs, starts, changes, memory
	$(CARGO) build --release --quiet
	scripts/with-postgres scripts/measure-roster

sqlx: rust postgresql ## Renew what the build knows of the queries (.sqlx)
	scripts/with-postgres scripts/prepare-queries .sqlx

test-clients: rust postgresql ## Let the real clients of other services speak with the service
	$(CARGO) build --quiet
	scripts/test-clients

ci: lint doc test test-clients scorecard ci-queries ## What CI runs

ci-queries: rust postgresql
	scripts/with-postgres scripts/prepare-queries target/sqlx-fresh
	diff --recursive .sqlx target/sqlx-fresh

mcp-servers: tests/mcp/node_modules/.package-lock.json ## Install the tool servers that the tests speak to

tests/mcp/node_modules/.package-lock.json: tests/mcp/package.json tests/mcp/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or later" >&2; exit 1; }
	cd tests/mcp && npm ci --no-audit --no-fund
	@touch $@

postgresql: ## Install PostgreSQL's server from the distribution, if there is none
	@scripts/install-postgresql

rust:
	@command -v $(CARGO) >/dev/null || { \
		echo "cargo is missing: install Rust from https://rustup.rs and open a new shell" >&2; exit 1; }
