# SPDX-License-Identifier: Apache-2.0
# The libraries for other languages. What their tests need comes from the languages' own registries. Included by the Makefile.
.PHONY: check-languages
check-languages: check-node check-go # tests of the libraries for other languages; installs what they need

include client/node/node.mk
include client/go/go.mk
