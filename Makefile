help: ## List the targets
	@grep -E '^[a-z-]+:.*##' Makefile
