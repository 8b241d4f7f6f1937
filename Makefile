# SPDX-License-Identifier: Apache-2.0
# objpool: `make help` lists what can be made.
VERSION  := 0.1.0
SANITIZE ?=
prefix      ?= /usr/local
sysconfdir  ?= $(if $(filter /usr,$(prefix)),/etc,$(prefix)/etc)
bindir      ?= $(prefix)/bin
sbindir     ?= $(prefix)/sbin
libdir      ?= $(prefix)/lib
libexecdir  ?= $(prefix)/libexec
includedir  ?= $(prefix)/include
mandir      ?= $(prefix)/share/man
docdir      ?= $(prefix)/share/doc/objpool
plugindir   ?= $(libdir)/objpool/plugins
unitdir     ?= $(prefix)/lib/systemd/system
sysusersdir ?= $(prefix)/lib/sysusers.d
tmpfilesdir ?= $(prefix)/lib/tmpfiles.d

comma := ,
B := build$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))
CC ?= gcc
OBJCOPY ?= objcopy
CFLAGS ?= -O2 -g
include scripts/needs.mk
LTO := $(if $(SANITIZE),,-flto=auto -ffat-lto-objects) # fat: libobjpool.a is for programs without it, too
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wvla $(if $(DEVELOPER),-Werror -Wconversion -Wformat=2)
SAN := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=undefined -O1)
# The same bytes wherever the folder is: no path of it, and names that do not come by chance.
SAME = -ffile-prefix-map=$(CURDIR)=. -frandom-seed=$(@:$(B)/%=%)
# A packager's CPPFLAGS, CFLAGS and LDFLAGS come after what is needed in any case, and after the hardening.
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 $(WARN) -fvisibility=hidden -fPIC -MMD -MP -I. -Iclient/include -Iplugins/include \
	-DOBJPOOL_VERSION='"$(VERSION)"' $(SAME) $(NEEDED_FLAGS) $(HARDEN) $(OWN_FLAGS) $(CPPFLAGS) $(CFLAGS) $(LTO) $(SAN)
# What daemon and templates say to each other, and the memory that they share, is for one build: they compare this.
CHANNEL_FLAGS := -DCHANNEL_BUILD='"$(shell cat $(sort $(wildcard proto/*.h)) | sha1sum | cut -c 1-16)"'
# For daemon/supervisor/config/paths.c alone.
PATH_FLAGS = -DOBJPOOL_PLUGIN_DIR='"$(plugindir)"' -DOBJPOOL_LIBEXEC_DIR='"$(libexecdir)/objpool"' -DOBJPOOL_SYSCONF_DIR='"$(sysconfdir)/objpool"'
ALL_LDFLAGS = $(HARDEN_LINK) $(OWN_LDFLAGS) $(LDFLAGS) $(LTO) $(if $(LTO),-O2 $(SAME) $(HARDEN)) $(SAN) -Wl,--as-needed

objs = $(patsubst %.c,$(B)/%.o,$(filter-out $(LEFT_OUT),$(wildcard $(addsuffix /*.c,$(1)))))
PROTO  := $(call objs,proto)
JSON   := $(call objs,json)
CORE   := $(call objs,daemon/core/*)
SUPER  := $(call objs,daemon/supervisor daemon/supervisor/*)
WORKER := $(call objs,daemon/worker daemon/worker/types)
CAGE   := $(call objs,daemon/worker/cage)
BACKTRACE := $(call objs,daemon/backtrace) $(B)/proto/escape.o $(B)/proto/standard.o
CLIENT := $(filter-out %/example.o,$(call objs,client/c)) # the example is a program
CLI    := $(call objs,cli cli/generate)
# The gateway's logic, and what it uses of the daemon's core.
GATEWAY := $(call objs,gateway gateway/bus gateway/service)
GATEWAY_CORE := $(call objs,gateway/core) $(addprefix $(B)/daemon/core/base/,error.o error_status.o) $(B)/daemon/core/base/idmap.o $(B)/daemon/core/records/target.o
PLUGIN_NAMES := $(filter-out $(PLUGINS_LEFT_OUT),$(sort $(notdir $(patsubst %/,%,$(dir $(wildcard plugins/*/*.c))))))
PLUGINS := $(PLUGIN_NAMES:%=$(B)/plugins/%.so)

.PHONY: help all forked deps check demo demo-cluster integration python-check python-versions locks-soak bench clean format lint
.DEFAULT_GOAL := all

help: # this list
	@sed -n 's/^\([a-z-]*\):.*# \(.*\)/  make \1\t\2/p' $(filter-out %.d %needs.mk %pythons.mk,$(MAKEFILE_LIST)) | expand -t 24
	@echo '  Variables: SANITIZE=address,undefined  DEVELOPER=1  prefix=/usr/local  DESTDIR=  CC  CFLAGS  CPPFLAGS  LDFLAGS'
	@echo '  Left out: WITHOUT="backtrace seccomp curses spell python nats"'

all: $(B)/objpoold $(B)/objpool-worker $(if $(WITH_backtrace),$(B)/objpool-backtrace) \
	$(if $(WITH_nats),$(B)/objpool-gateway) $(B)/objpool $(B)/libobjpool.so $(B)/libobjpool.a $(PLUGINS)

CHANNEL_OBJECTS := $(foreach o,daemon/worker/class_load.o daemon/supervisor/workers/loading.o,$(B)/$(o) $(B)/plain/$(o))
$(CHANNEL_OBJECTS): private OWN_FLAGS += $(CHANNEL_FLAGS)
$(CHANNEL_OBJECTS): $(wildcard proto/*.h)

$(B)/%.o: %.c Makefile $(NEEDS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(B)/objpoold: $(SUPER) $(CORE) $(JSON) $(PROTO)
	$(CC) $(ALL_LDFLAGS) -pie -o $@ $^ $(DAEMON_LIBS) $(MSGPACK_LIBS)

$(B)/objpool-worker: $(WORKER) $(CAGE) $(PROTO)
	$(CC) $(ALL_LDFLAGS) -pie -rdynamic -o $@ $^ $(MSGPACK_LIBS) $(LIBS_OF_seccomp) -ldl

$(B)/objpool-backtrace: $(BACKTRACE)
	$(CC) $(ALL_LDFLAGS) -pie -o $@ $^ $(LIBS_OF_backtrace)

$(B)/objpool-gateway: $(GATEWAY) $(GATEWAY_CORE) $(JSON) $(PROTO)
	$(CC) $(ALL_LDFLAGS) -pie -o $@ $^ $(LIBS_OF_nats) -lpthread
$(B)/gateway/bus/bus_nats.o $(B)/gateway/bus/nats_options.o: private OWN_FLAGS += $(patsubst -I%,-isystem %,$(FLAGS_OF_nats))

# One object, whose global symbols are those of the public header. Those of gcc for i386 are hidden, and in groups of which one is linked.
$(B)/libobjpool.o: $(CLIENT) $(PROTO)
	$(CC) $(if $(LTO),$(LTO) -flinker-output=nolto-rel -O2 $(SAME) $(HARDEN)) -nostdlib -r -o $@.all $^
	$(OBJCOPY) --wildcard --keep-global-symbol='objpool_*' --keep-global-symbol='__x86.*' $@.all $@
	@rm -f $@.all

$(B)/libobjpool.a: $(B)/libobjpool.o
	@rm -f $@
	$(AR) rcsD $@ $^

$(B)/libobjpool.so: $(CLIENT) $(PROTO) client/c/libobjpool.map
	$(CC) $(ALL_LDFLAGS) -shared -Wl,-soname,libobjpool.so.0 -Wl,--version-script=client/c/libobjpool.map -o $@ $(CLIENT) $(PROTO) $(MSGPACK_LIBS)
	@ln -sf libobjpool.so $(B)/libobjpool.so.0

$(B)/objpool: $(CLI) $(CLIENT) $(PROTO)
	$(CC) $(ALL_LDFLAGS) -pie -o $@ $^ $(CLI_LIBS) $(MSGPACK_LIBS) $(LIBS_OF_curses) -lm

$(B)/plugins/%.so: plugins/%
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(PLUGIN_FLAGS_$*) $(ALL_LDFLAGS) -shared -o $@ $(wildcard $</*.c) $(MSGPACK_LIBS) $(PLUGIN_LIBS_$*)
PLUGIN_LIBS_spell := $(LIBS_OF_spell)
PLUGIN_LIBS_sampler := -lm
# The Python that is embedded is the system's, whatever other `python3` the PATH has.
PYTHON := $(if $(WITH_python),$(shell $(PKG_CONFIG) --variable=exec_prefix python3-embed)/bin/python3,python3)
PLUGIN_FLAGS_python = $(patsubst -I%,-isystem %,$(FLAGS_OF_python)) -I$(B)/generated -DPYTHON_PROGRAM='"$(PYTHON)"'
PLUGIN_LIBS_python := $(LIBS_OF_python)
$(B)/plugins/python.so: $(B)/generated/python-host.h
# Each file imports only those before it.
PYTHON_HOST := client/python/objpool/_by_value.py $(addprefix plugins/python/host/,text.py resolve.py objects.py arrays.py \
	values.py coroutines.py failures.py objpool_worker.py paths.py own_classes.py reading.py factory.py methods.py literals.py annotations.py \
	signatures.py docstrings.py describe.py life.py __init__.py)
$(B)/generated/python-host.h: $(PYTHON_HOST) scripts/embed-python.py
	@mkdir -p $(@D)
	$(PYTHON) scripts/embed-python.py host $(PYTHON_HOST) > $@

# Extension modules of Python programs: templates of their pools (plugins/python/forked), locks and queues (client/python/sync),
# small calls (client/python/wire). A file for each version of Python, whose name says which: of those that are found here, or of
# one that is named (FOR=python3.13).
# Never with sanitizers: a program that is built without them can't load what has them.
ifdef FOR
PYTHONS := $(or $(shell $(PYTHON) scripts/pythons.py $(FOR)),$(error FOR=$(FOR)))
else ifeq ($(filter clean help,$(MAKECMDGOALS))$(filter python,$(WITHOUT)),)
-include $(B)/pythons.mk
endif
$(B)/pythons.mk: scripts/pythons.py $(B)/needs.mk $(wildcard $(or $(PYENV_ROOT),$(HOME)/.pyenv)/versions)
	@mkdir -p $(@D)
	@echo PYTHONS := $$($(PYTHON) scripts/pythons.py) > $@
PLAIN := $(B)$(if $(SANITIZE),/plain)
TEMPLATE_PARTS := $(patsubst $(B)/%,$(PLAIN)/%,$(filter-out %/main.o,$(WORKER)) $(PROTO))
WIRE_PARTS := $(patsubst %,$(PLAIN)/proto/%.o,read scan payload_ref)
ifdef SANITIZE
$(PLAIN)/%.o: %.c Makefile $(NEEDS)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c -o $@ $<
endif
$(B)/plain/% $(B)/python/%: private SAN :=

define python_modules
$(B)/python/$(1:.%.so=%)/%.o: %.c Makefile $(NEEDS) $(B)/generated/python-host.h
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) -isystem $(2) -I$(B)/generated -DPYTHON_PROGRAM='"$$(PYTHON)"' -c -o $$@ $$<
$(B)/python/objpool_forked$(1): $(patsubst %.c,$(B)/python/$(1:.%.so=%)/%.o,$(wildcard plugins/python/forked/*.c plugins/python/*.c)) $(TEMPLATE_PARTS)
	$$(CC) $$(ALL_LDFLAGS) -shared -Wl,-Bsymbolic -o $$@ $$(filter %.o,$$^) $(MSGPACK_LIBS) -ldl
$(B)/python/objpool_sync$(1): $(patsubst %.c,$(B)/python/$(1:.%.so=%)/%.o,$(wildcard client/python/sync/*.c))
	$$(CC) $$(ALL_LDFLAGS) -shared -o $$@ $$(filter %.o,$$^)
$(B)/python/objpool_wire$(1): $(patsubst %.c,$(B)/python/$(1:.%.so=%)/%.o,$(wildcard client/python/wire/*.c)) $(WIRE_PARTS)
	$$(CC) $$(ALL_LDFLAGS) -shared -o $$@ $$(filter %.o,$$^)
PYTHON_MODULES += $(patsubst %,$(B)/python/objpool_%$(1),forked sync wire)
endef
$(foreach p,$(PYTHONS),$(eval $(call python_modules,$(word 1,$(subst :, ,$(p))),$(word 2,$(subst :, ,$(p))))))
all: $(PYTHON_MODULES)
forked: $(PYTHON_MODULES) # workers, locks and queues, small calls for programs of one Python (FOR=python3.13)

$(foreach p,$(PLUGIN_NAMES),$(eval $(B)/plugins/$(p).so: $(wildcard plugins/$(p)/*.[ch]) plugins/include/objpool/plugin.h Makefile $(NEEDS)))

deps: # install what is missing to build and test (Debian, apt-get)
	@sh scripts/deps.sh build test

demo: # build all, start a daemon with sample pools, call it in every way, stop it
	@sh scripts/deps.sh build
	@$(MAKE) --no-print-directory -s all
	@sh scripts/demo.sh $(B)

demo-cluster: # a NATS server and three hosts on this machine: calls between them, one killed in a map, and its return
	@sh scripts/deps.sh build nats
	@$(MAKE) --no-print-directory -s all
	@sh scripts/demo-cluster.sh $(B)

# The tests are built by a make of their own: libraries that `deps` has just installed are found by it.
check: # all tests
	@sh scripts/deps.sh build test
	@$(MAKE) --no-print-directory -s $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(CPUS)) all tests
	@$(MAKE) --no-print-directory unit sim gateway-sim python-check integration

# Most tests wait for something: more of them at once than there are CPUs.
PYTEST = /usr/bin/python3 -m pytest -q -p no:cacheprovider -n $(TEST_JOBS) --dist loadfile
CPUS = $(shell nproc)
TEST_JOBS ?= $(shell echo $$(($(CPUS) * 2)))

integration: all # a real daemon for each test
	OBJPOOL_BUILD=$(B) $(PYTEST) tests/integration tests/abi tests/wire

python-check: all # the Python client, a real daemon for each test
	OBJPOOL_BUILD=$(B) $(PYTEST) tests/python

python-versions: all # the same with each of Python 3.9 to 3.13 that pyenv has, in virtual environments (PyPI)
	/usr/bin/python3 scripts/python_versions.py $(B) -n $(TEST_JOBS) --dist loadfile $(or $(TESTS),tests/python)

KILLS ?= 1000
locks-soak: all # kill processes at random moments that hold locks, use queues and managers (KILLS=1000 of each kind)
	OBJPOOL_BIN=$(B) nice /usr/bin/python3 tests/python/kills.py $(KILLS)
	OBJPOOL_BIN=$(B) nice /usr/bin/python3 tests/python/manager_kills.py $(KILLS)

clean: # remove what was built
	rm -rf build build-*

format: # clang-format on all sources
	clang-format -i $$(git ls-files '*.c' '*.h')

lint: # all warnings of gcc and clang as errors, cppcheck, circles of files, man pages
	sh scripts/lint.sh

include daemon/supervisor/http/page.mk
include cli/new/new.mk
include packaging/install.mk
include packaging/packages.mk
include packaging/monitoring.mk
include packaging/wheel.mk
include packaging/site/site.mk
include scripts/elsewhere.mk
include scripts/languages.mk
-include tests/tests.mk
-include tests/page/page.mk
-include tests/jupyter/jupyter.mk
-include bench/bench.mk

-include $(shell find $(B) -path '$(B)/deb' -prune -o -path '$(B)/rpm' -prune -o -path '$(B)/debian' -prune -o -path '$(B)/foreign/*/root' -prune -o -name '*.d' -type f -print 2>/dev/null)
