.DEFAULT_GOAL := help
.PHONY: help demo clean-demo test proof dist lint fmt sim faults bench bench-14m sqlx-prepare

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: ## Install what is missing, build, start everything and send simulated fans; Ctrl-C stops it
	@scripts/demo

clean-demo: ## Forget the demo's data
	@scripts/clean-demo

test: ## Run every check that CI runs
	@scripts/test

proof: ## Run what takes longer than CI has, before a release; BEFORE=… names the version before
	@scripts/fuzz
	@scripts/check-money
	@scripts/check-versions $(BEFORE)
	@scripts/check-shop
	@scripts/dist
	@scripts/check-image

dist: ## Build what a release consists of: archive, Debian package, bill of materials, content of the image
	@scripts/dist

lint: ## Lint as CI does
	@SQLX_OFFLINE=true cargo clippy --workspace --all-targets -- -D warnings

fmt: ## Format the Rust code
	@cargo fmt --all

sim: ## Run the simulations; SEED=… repeats one run, CASES=… makes it longer
	@SQLX_OFFLINE=true SEED='$(SEED)' CASES='$(CASES)' cargo test -p line --test it simulation:: -- --nocapture

faults: ## Break gateways and servers while fans buy, and audit; SEED=… repeats a run, MINUTES=… and FAULTS=… change it
	@scripts/faults --seed "$${SEED:-$$(date +%s)}" $(if $(MINUTES),--minutes '$(MINUTES)') $(if $(FAULTS),--faults '$(FAULTS)')

bench: ## Measure against plain proxies and print the ratios
	@scripts/bench

bench-14m: ## Let 14 million fans join one room, call for ten minutes, and audit it (half an hour)
	@scripts/bench opening

sqlx-prepare: ## Regenerate .sqlx after a change of a migration or a statement
	@scripts/sqlx-prepare
