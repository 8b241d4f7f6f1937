# SPDX-License-Identifier: Apache-2.0
# The library for Node. Included by scripts/languages.mk.
NODE := client/node

.PHONY: check-node
check-node: all $(NODE)/node_modules/.package-lock.json # the library for Node: its tests, each with a real daemon, and its types
	@sh scripts/deps.sh build test
	cd $(NODE) && OBJPOOL_BUILD=$(abspath $(B)) timeout 900 npm test

$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json
	@command -v npm >/dev/null || sh scripts/deps.sh node
	cd $(NODE) && npm ci --no-audit --no-fund
	@touch $@

# The peers are from npm, in a folder of their own.
.PHONY: bench-node soak-node
bench-node: all $(NODE)/bench/node_modules/.package-lock.json # the library for Node beside redis and NATS; writes docs/BENCHMARKS.md, Node
	@sh scripts/deps.sh build bench
	cd $(NODE)/bench && OBJPOOL_BUILD=$(abspath $(B)) node run.mjs --markdown $(abspath docs/BENCHMARKS.md)

soak-node: all # 10 million items each way through the library for Node; fails when its memory grows
	cd $(NODE)/bench && OBJPOOL_BUILD=$(abspath $(B)) node --expose-gc soak.mjs

$(NODE)/bench/node_modules/.package-lock.json: $(NODE)/bench/package-lock.json
	cd $(NODE)/bench && npm ci --no-audit --no-fund
	@touch $@
