# SPDX-License-Identifier: Apache-2.0
# The library for Go. Included by scripts/languages.mk. Modules that are missing come from Go's own proxy.
.PHONY: check-go
GO ?= go

check-go: all # the library for Go: its tests, each with a real daemon
	@command -v $(GO) >/dev/null || sh scripts/deps.sh go
	@cd client/go && unformatted=$$(gofmt -l .) && if [ -n "$$unformatted" ]; then echo "gofmt -w $$unformatted"; exit 1; fi
	cd client/go && $(GO) vet ./... && OBJPOOL_BUILD=$(abspath $(B)) $(GO) test -count=1 $(GO_TEST_FLAGS) ./...

.PHONY: pack-go
pack-go: # the Go module as a proxy serves it, in build/go
	cd client/go && $(GO) run ./internal/pack $(abspath $(B))/go v$(VERSION)

# The peers' clients are modules of the benchmark alone.
.PHONY: bench-go soak-go
bench-go: all # the library for Go beside the clients of redis and NATS; writes docs/BENCHMARKS.md, Go
	@sh scripts/deps.sh build bench
	cd client/go/bench && $(GO) build -o $(abspath $(B))/bench-go . && OBJPOOL_BUILD=$(abspath $(B)) \
		$(abspath $(B))/bench-go -markdown $(abspath docs/BENCHMARKS.md)

soak-go: all # 10 million items each way through the library for Go; fails when its memory grows
	cd client/go/bench && $(GO) build -o $(abspath $(B))/bench-go . && OBJPOOL_BUILD=$(abspath $(B)) $(abspath $(B))/bench-go -soak
