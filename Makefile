# Needs Go, make and bash. What else the targets need goes into .tools/;
# scripts/tools.sh says what that is.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The version comes from git, where there is one; `make build VERSION=…` sets it.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

# The version is stamped in above, so go need not ask a repository that may be
# absent or belong to another user. Only the race detector needs cgo.
export GOFLAGS := $(strip $(shell go env GOFLAGS) -buildvcs=false)
export CGO_ENABLED := 0

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: ## Build, then start the demonstration; ARGS="…" are its options, DATABASE=postgres://… its database
	@echo "Building grapevine (a first build takes about half a minute) …"
	@$(MAKE) --no-print-directory build
	@exec env $(if $(filter command line,$(origin DATABASE)),GRAPEVINE_DEMO_DATABASE="$$DATABASE") bin/grapevine demo $(ARGS)

.PHONY: build
build: ## Build bin/grapevine
	@go build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/grapevine ./cmd/grapevine

.PHONY: test
test: tools ## Check everything: format, vet, linter, tests with the race detector
	@scripts/test.sh

.PHONY: fmt
fmt: ## Format all Go files
	@scripts/tools.sh linter
	@.tools/bin/golangci-lint fmt

.PHONY: lint
lint: ## Run the linter alone
	@scripts/tools.sh linter
	@.tools/bin/golangci-lint run

.PHONY: goldens
goldens: ## Write the golden files anew (look at the difference before you commit)
	@scripts/goldens.sh

.PHONY: tools
tools: ## Install what the tests need, pinned, into .tools/
	@scripts/tools.sh

.PHONY: bench
bench: build ## Measure the program, in five minutes; ARGS="…" as 'grapevine bench' takes them
	@exec bin/grapevine bench $(ARGS)

.PHONY: gobench
gobench: ## Run the Go benchmarks of the packages
	@go test -run '^$$' -bench . -benchmem ./...

.PHONY: clean
clean: ## Remove what make has made: bin/ and .tools/
	@rm -rf bin .tools
