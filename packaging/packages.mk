# SPDX-License-Identifier: Apache-2.0
# Packages for Debian, from packaging/debian, and for rpm, from packaging/rpm. Included by the Makefile.
REVISION ?= 1

.PHONY: deb rpm
deb: # Debian packages, in build/deb
	@sh scripts/deps.sh build deb
	@env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL sh packaging/deb.sh $(B)/deb $(VERSION) $(REVISION)

rpm: # packages for rpm, in build/rpm
	@sh scripts/deps.sh build rpm
	@env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL sh packaging/rpm.sh $(B)/rpm $(VERSION) $(REVISION)

# In a throw-away machine: installs, makes the first call, upgrades under load, removes, purges. BOX is a command with the words up,
# run COMMAND... and down.
BOX ?= tests/integration/sdbox

.PHONY: check-deb
check-deb: # installs, upgrades and removes the packages of `make deb`, under a systemd (root; a minute)
	@sh scripts/deps.sh build test
	/usr/bin/python3 tests/packages/check.py $(BOX) $(B)/deb
