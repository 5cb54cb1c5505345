# `make demo` and `make test` are all that a fresh clone needs; the rest are their parts.

# The demo forwards in the kernel, so the profile only matters to control-plane speed.
PROFILE ?= dev
VENV    := .venv

.DEFAULT_GOAL := help
.PHONY: help demo demo-down test build check bench restarts repair packets many views sequences clients failover linearizable objectives

help: ## Show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Build, start a leaf-spine fabric and show it working (root; KEEP=1 leaves it up)
	@demo/deps.sh demo
	@PROFILE=$(PROFILE) demo/run.sh

demo-down: ## Remove what `make demo KEEP=1`, or a demo that crashed, left
	@demo/down.sh

test: check clients ## Run every test (as root those in network namespaces too)
	cargo test --workspace

check: ## Formatting, lints and documentation
	@demo/deps.sh test
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

bench: ## Measure the data plane and the tables (root)
	@demo/deps.sh build
	cargo bench -p pointsman-bench

restarts: ## Kill an agent 200 times under traffic and writes, and count what is lost (root)
	@demo/deps.sh build
	cargo build --release -p pointsman-agent
	cargo run --release -p pointsman-bench --bin warm_restart -- --kills 200

repair: ## Cut a link of an ECMP path and of a failover next 200 times each, and measure how long packets are lost (root)
	@demo/deps.sh build
	cargo build --release -p pointsman-agent
	cargo run --release -p pointsman-bench --bin fast_repair -- --trials 200

packets: ## Measure packet-ins, round trips by a client, and entries for first packets (root)
	@demo/deps.sh build
	cargo build --release -p pointsman-agent
	cargo run --release -p pointsman-bench --bin packet_io

many: ## Apply a hundred thousand objectives at once, again, and with one line changed, and measure each (root)
	@demo/deps.sh build
	cargo build --release -p pointsman-agent -p pointsman-controller -p pointsman
	cargo run --release -p pointsman-bench --bin many_objectives

views: ## Change ports, links and hosts of 50 switches a thousand times a second, and measure how soon three controllers know (root)
	@demo/deps.sh build
	cargo build --release -p pointsman-controller
	cargo run --release -p pointsman-bench --bin fabric_views

sequences: ## Do random things to objectives, agents, ports and entries for minutes, and hold what is there to a model (root)
	@demo/deps.sh build
	cargo build --release -p pointsman-agent
	cargo run --release -p pointsman-bench --bin sequences -- --minutes 10

failover: ## Kill, cut off and shut down controllers 50 times each under a stream of applies, and measure how long switches are without one (root)
	@demo/deps.sh test
	cargo build --release -p pointsman-agent -p pointsman-controller
	cargo run --release -p pointsman-bench --bin fail_over

linearizable: ## Make trouble for controllers for minutes, and hold what their clients saw to what is promised (root)
	@demo/deps.sh test
	cargo build --release -p pointsman-controller
	cargo run --release -p pointsman-bench --bin linearizable

objectives: ## Measure objectives acknowledged end to end a second, and the latency of one, with three controllers and with one (root)
	@demo/deps.sh build
	cargo build --release -p pointsman-controller
	cargo run --release -p pointsman-bench --bin objectives

build: ## Build agent, controller and CLI
	@demo/deps.sh build
	cargo build --workspace --bins --profile $(PROFILE)

clients: $(VENV)/finsy $(VENV)/shell ## The independent P4Runtime clients that tests drive the agent with

# Each has its own environment, for they need different versions of the same packages. Without network
# their tests say that they were skipped; where REQUIRE_NETNS is set that is a failure.
$(VENV)/%: tests/clients/%.txt
	@python3 -m venv $@ && $@/bin/pip install --quiet --disable-pip-version-check --requirement $< && touch $@ \
	  || { rm -rf $@; echo "make: no independent client $*"; [ -z "$$REQUIRE_NETNS" ]; }
