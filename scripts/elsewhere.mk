# SPDX-License-Identifier: Apache-2.0
# Builds and tests for other machines, folders and releases. Included by the Makefile.
.PHONY: check-reproducible check-foreign check-debian check-without
check-reproducible: # two builds in different folders have the same bytes
	@sh scripts/deps.sh build
	@sh scripts/reproducible.sh $(if $(filter command,$(origin LTO)),LTO=$(LTO))

ARCH = s390x
check-foreign: # a build for another architecture, and its tests under qemu (ARCH=s390x, arm64, armhf or i386)
	@sh scripts/foreign.sh $(ARCH) $(TESTS)

SUITE = sid
check-debian: # a build in another release of Debian, and its tests there (SUITE=trixie, sid or bookworm, ARCH=i386; root, 1.5 GB)
	@sh scripts/debian.sh $(SUITE) '$(if $(filter file,$(origin ARCH)),,$(ARCH))' $(TESTS)

check-without: # builds without each optional part, and without all, and tests of them
	@sh scripts/deps.sh build test
	@sh scripts/without.sh $(TESTS)
