# SPDX-License-Identifier: Apache-2.0
# The libraries for other languages. What their tests need comes from the languages' own registries. Included by the Makefile.
.PHONY: check-languages
check-languages: check-node check-go check-generated # tests of the libraries for other languages; installs what they need

include client/node/node.mk
include client/go/go.mk

.PHONY: check-generated
check-generated: all $(NODE)/node_modules/.package-lock.json # what objpool describe --generate writes in other languages, and the tutorials
	@command -v go >/dev/null || test -x /usr/local/go/bin/go || sh scripts/deps.sh go
	@command -v rustc >/dev/null || sh scripts/deps.sh rust
	@command -v javac >/dev/null || sh scripts/deps.sh java
	mypy=$$(sh scripts/mypy.sh) && OBJPOOL_BUILD=$(B) OBJPOOL_LANGUAGES=1 OBJPOOL_MYPY=$$mypy $(PYTEST) tests/integration/test_generate.py tests/integration/test_tutorials.py tests/python/test_types.py
