# SPDX-License-Identifier: Apache-2.0
# What this machine has of what the build needs. Included by the Makefile, first. scripts/needs.sh looks whenever make begins, and
# what it finds is written anew if it has changed: then all is built again.
#   WITHOUT="backtrace seccomp curses spell python nats"   optional parts that are not to be built
PKG_CONFIG ?= pkg-config
WITHOUT ?=

ifeq ($(filter clean help,$(MAKECMDGOALS)),)
include $(B)/needs.mk
endif

# Files of optional parts that are not built, and those in their place that are not needed. And plugins.
LEFT_OUT := daemon/worker/cage/cage_syscalls$(if $(WITH_seccomp),_absent).c cli/top_screen$(if $(WITH_curses),_absent).c
PLUGINS_LEFT_OUT := $(foreach p,spell python,$(if $(WITH_$(p)),,$(p)))

.PHONY: needs-may-have-changed missing
$(B)/needs.mk: needs-may-have-changed
	@mkdir -p $(@D)
	@CC='$(CC)' PKG_CONFIG='$(PKG_CONFIG)' CFLAGS='$(CFLAGS)' CPPFLAGS='$(CPPFLAGS)' SANITIZE='$(SANITIZE)' WITHOUT='$(WITHOUT)' \
		sh scripts/needs.sh > $@.$$$$ && if cmp -s $@ $@.$$$$; then rm $@.$$$$; else mv $@.$$$$ $@; \
		sed -n 's/^WITHOUT_PARTS := \(..*\); $$/Not built: \1/p' $@ >&2; fi

# Whatever is compiled depends on this: what is missing is told where it is needed, and not before `make deps` can install it.
NEEDS := $(B)/needs.mk $(if $(MISSING),missing)
missing:
	@echo 'objpool can not be built here. $(MISSING)`make deps` installs what is missing (Debian).' >&2; exit 1
