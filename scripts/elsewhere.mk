# SPDX-License-Identifier: Apache-2.0
# Builds and tests for other machines, folders and releases. Included by the Makefile.
.PHONY: check-reproducible
check-reproducible: # two builds in different folders have the same bytes
	@sh scripts/deps.sh build
	@sh scripts/reproducible.sh $(if $(filter command,$(origin LTO)),LTO=$(LTO))
