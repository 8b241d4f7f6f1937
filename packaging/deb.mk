# SPDX-License-Identifier: Apache-2.0
# Packages of distributions, from packaging/debian. Included by the Makefile.
REVISION ?= 1

.PHONY: deb
deb: # Debian packages, in build/deb
	@sh scripts/deps.sh build deb
	@env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL sh packaging/deb.sh $(B)/deb $(VERSION) $(REVISION)
