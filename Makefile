# Aperture Collector. `make` lists the targets.
#
# Prerequisites: Linux, Go 1.26, GNU make and npm (only to fetch the embedded
# ClickHouse). Everything else is pinned by this repository and fetched by it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO ?= go
DIST := dist
CONFIG ?= config/all-in-one.yaml
TOOL := $(GO) tool -modfile=internal/tools/go.mod
BUILDER := $(GO) tool -modfile=internal/tools/builder/go.mod builder

COLLECTOR := $(DIST)/aperture-collector
LAUNCHER := $(DIST)/clickhouse-embedded
LIBRARY := $(DIST)/lib/libchdb.so
CTL := $(DIST)/aperturectl
VERSION := $(shell sed -n 's/^  version: //p' builder-config.yaml)

# The binaries depend on every source that can change them, so that a repeated
# make does nothing.
SOURCES := $(shell find receiver processor exporter extension internal proto bpf -type f \
	\( -name '*.go' -o -name '*.o' -o -name '*.sql' -o -name '*.yaml' -o -name '*.tmpl' \) \
	-not -name '*_test.go' -not -path '*/testdata/*' -not -path 'internal/tools/*' 2>/dev/null)

# The race detector needs a C compiler; without one the tests run without it.
HAVE_CC := $(shell command -v $${CC:-gcc} 2>/dev/null)
RACE := $(if $(HAVE_CC),-race)
TEST_CGO := $(if $(HAVE_CC),1,0)
TEST_TIMEOUT ?= 25m
PKG ?= ./...
# Packages that compare profiles with the truth, or run the whole product: they
# are tested one at a time, with the processors to themselves.
ALONE := /(bpf|receiver/ebpfprofilingreceiver|internal/(e2e|cmd/aperturectl|tracker|symbol|ebpftest/fixtures))$$
BENCH ?= .

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

.PHONY: deps
deps: $(LIBRARY) ## fetch what the build needs: Go modules, the embedded ClickHouse
	@$(GO) mod download

# The fetcher pins the version and checks its integrity; its source is the stamp.
$(LIBRARY): $(wildcard internal/cmd/fetch-chdb/*.go)
	@$(GO) run ./internal/cmd/fetch-chdb -out $(LIBRARY)
	@touch $(LIBRARY)

.PHONY: build
build: $(COLLECTOR) $(LAUNCHER) $(CTL) ## build the collector, the ClickHouse launcher and aperturectl into dist/

$(COLLECTOR): builder-config.yaml go.mod go.sum $(SOURCES)
	@mkdir -p $(DIST)/tmp
	@echo "building $@ (the first time takes a few minutes)"
	@cp internal/distribution/gates.go $(DIST)/gates.go
	@TMPDIR=$(CURDIR)/$(DIST)/tmp $(BUILDER) --config builder-config.yaml > $(DIST)/build.log 2>&1 \
		|| { tail -n 40 $(DIST)/build.log; exit 1; }
	@rm -rf $(DIST)/tmp
	@touch $@

$(LAUNCHER): go.mod go.sum $(wildcard internal/cmd/clickhouse-embedded/*.go)
	@mkdir -p $(DIST)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o $@ ./internal/cmd/clickhouse-embedded
	@touch $@

$(CTL): go.mod go.sum builder-config.yaml $(SOURCES)
	@mkdir -p $(DIST)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w -X main.version=$(VERSION)' -o $@ ./internal/cmd/aperturectl
	@touch $@

.PHONY: run
run: $(LIBRARY) build ## install and build all that is needed, then run config/all-in-one.yaml (CONFIG=... for another; asks for a token if APERTURE_AUTH_TOKEN is set)
	@echo "Aperture API on http://127.0.0.1:9090, Aperture gRPC on 127.0.0.1:50051; stop with Ctrl-C"
	@echo "in another terminal: ./$(CTL) top, or ./$(CTL) export svg -o cpu.svg"
	@auth=; \
	if [ -n "$${APERTURE_AUTH_TOKEN+set}" ]; then \
		case "$$APERTURE_AUTH_TOKEN" in ''|*[[:space:]]*) \
			echo "APERTURE_AUTH_TOKEN is empty or has white space: give a token, or unset it to ask for none" >&2; exit 1;; esac; \
		case "$(CONFIG)" in */agent.yaml) auth="--config config/agent-auth.yaml";; *) auth="--config config/auth.yaml";; esac; \
	fi; \
	exec ./$(COLLECTOR) --config $(CONFIG) $$auth

# A test that fails is run again alone, at most twice: some compare profiles with what a
# shared machine did meanwhile. What was run again is said at the end. Nothing is run
# again after a data race, a panic, a build that fails or more than ten failures;
# testevents fails the run if a package failed outside of its tests, as after a leak of
# goroutines, where gotestsum would run nothing again and be content.
GOTESTSUM := $(TOOL) gotestsum --format pkgname-and-test-fails --hide-summary skipped,output \
	--rerun-fails=2 --rerun-fails-max-failures=10 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race

.PHONY: test
test: deps lint build ## install and build all that is needed, then lint and run every test
ifeq ($(HAVE_CC),)
	@echo "no C compiler: the tests run without the race detector"
endif
	@export CGO_ENABLED=$(TEST_CGO); failed=0; all=$$($(GO) list $(PKG)); rm -rf $(DIST)/test; mkdir -p $(DIST)/test; \
	for match in -vE -E; do \
		packages=$$(grep $$match '$(ALONE)' <<< "$$all" || true); \
		parallel=$$([ $$match = -E ] && echo "-p 1" || true); \
		if [ -n "$$packages" ]; then \
			$(GOTESTSUM) --jsonfile $(DIST)/test/events$$match.json --packages "$$(echo $$packages)" \
				-- $(RACE) -timeout $(TEST_TIMEOUT) $$parallel || failed=1; \
		fi; \
	done; \
	$(GO) run ./internal/cmd/testevents $(DIST)/test/*.json || failed=1; \
	exit $$failed

.PHONY: test-short
test-short: ## run the tests that need neither ClickHouse nor eBPF nor a built binary
	@$(GO) test -short -timeout 10m $(PKG)

.PHONY: bench
bench: deps build ## run the benchmarks, each of which checks its result (PKG=./internal/... BENCH=regexp)
	@$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 60m $(PKG)
	@$(MAKE) --no-print-directory bench-push ARGS='-mix agents -rate 250000'
	@$(MAKE) --no-print-directory bench-store ARGS=
	@$(MAKE) --no-print-directory bench-api ARGS=
	@$(MAKE) --no-print-directory bench-ebpf ARGS=

.PHONY: bench-store
bench-store: deps build ## measure size, speed and every query of the profile store on a generated fleet (ARGS=-quick, or others for bench-store)
	@$(GO) run ./internal/cmd/bench-store -strict $(ARGS)

.PHONY: bench-push
bench-push: deps build ## measure how fast the collector takes pushes of Aperture agents (ARGS=... for bench-push)
	@$(GO) run ./internal/cmd/bench-push $(ARGS)

.PHONY: bench-api
bench-api: deps build ## measure diffs, aggregates and polling dashboards over HTTP (ARGS=... for bench-api)
	@$(GO) run ./internal/cmd/bench-api -max-diff 80ms -max-aggregate 400ms -max-dashboard 500ms $(ARGS)

.PHONY: bench-ebpf
bench-ebpf: deps build ## measure what profiling this host costs and how right it is, beside perf and bpftrace (ARGS=... for bench-ebpf)
	@$(GO) run ./internal/cmd/bench-ebpf $(ARGS)

.PHONY: chaos
chaos: deps build ## kill, pause, cut and fill while under load, then compare every sum (200 cycles; ARGS=... for chaos)
	@$(GO) run ./internal/cmd/chaos $(ARGS)

.PHONY: lint
lint: ## gofumpt, go vet, staticcheck and the dependency directions
	@out=$$(find . -name '*.go' -not -path './dist/*' -not -name '*.pb.go' -not -name 'generated_*.go' -not -name '*_bpfel.go' -print0 \
		| xargs -0 $(TOOL) gofumpt -l); \
		if [ -n "$$out" ]; then echo "gofumpt would change:"; echo "$$out"; exit 1; fi
	@$(GO) vet ./...
	@$(TOOL) staticcheck ./...
	@$(GO) test -count=1 ./internal/lint

.PHONY: generate
generate: ## regenerate code and documentation (BPF objects and protobuf only where clang and protoc are installed)
	@$(GO) generate ./receiver/... ./processor/... ./exporter/... ./extension/...
	@if command -v clang >/dev/null; then $(GO) generate ./bpf/...; else echo "clang is not installed: BPF objects stay as they are"; fi
	@if command -v protoc >/dev/null; then $(GO) generate ./proto/...; else echo "protoc is not installed: generated protobuf code stays as it is"; fi
	@$(GO) run ./internal/cmd/docgen

.PHONY: clean
clean: ## remove everything that was built (not the data of make run, which is in ./data)
	@rm -rf $(DIST)
