# SPDX-License-Identifier: Apache-2.0
# The library for Node. Included by scripts/languages.mk.
NODE := client/node

.PHONY: check-node
check-node: all $(NODE)/node_modules/.package-lock.json # the library for Node: its tests, each with a real daemon, and its types
	cd $(NODE) && OBJPOOL_BUILD=$(abspath $(B)) npm test

$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json
	@command -v npm >/dev/null || sh scripts/deps.sh node
	cd $(NODE) && npm ci --no-audit --no-fund
	@touch $@
