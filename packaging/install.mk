# SPDX-License-Identifier: Apache-2.0
# `make install` and `make uninstall`: included by the Makefile. Honours DESTDIR, prefix and the directories named there.
# A configuration file that exists is never overwritten: a different new one goes beside it as objpoold.conf.new.
# Uninstall removes the configuration only where nobody has edited it.

pkgconfigdir ?= $(libdir)/pkgconfig
userunitdir  ?= $(prefix)/lib/systemd/user
bashcompdir  ?= $(prefix)/share/bash-completion/completions
zshcompdir   ?= $(prefix)/share/zsh/site-functions
fishcompdir  ?= $(prefix)/share/fish/vendor_completions.d
INSTALL      ?= install

CONFIG := $(sysconfdir)/objpool/objpoold.conf

# Directories are compiled into one file of objpoold: an installation elsewhere than `make` was told compiles this file anew, and
# links this one program. Root may install what a user has built, and the user must be able to build again: what is written a
# second time is removed first.
PATHS := $(prefix) $(sysconfdir) $(libexecdir) $(plugindir) $(sbindir) $(libdir) $(includedir)
PATHS_OBJECT := $(B)/daemon/supervisor/config/paths.o
$(PATHS_OBJECT): $(B)/paths
$(PATHS_OBJECT): private OWN_FLAGS += $(PATH_FLAGS)
.PHONY: paths-may-have-changed
$(B)/paths: paths-may-have-changed
	@mkdir -p $(@D); echo '$(PATHS)' | cmp -s - $@ || \
		{ rm -f $@ $(PATHS_OBJECT) $(PATHS_OBJECT:.o=.d); echo '$(PATHS)' > $@; }

# Text files with this installation's directories. Man pages and the configuration name the usual ones, so that they can be
# read as they are; *.in files have @names@.
UNITS := objpoold.service objpoold.user.service objpoold@.service objpoold@.socket
FILLED := $(addprefix $(B)/packaging/,$(UNITS) objpool.pc objpoold.conf man/objpoold.conf.5 man/objpoold.8 man/objpool-gateway.8 man/objpool.1)
all: $(FILLED)
FILL = rm -f $@; sed -e 's,/etc/objpool\>,$(sysconfdir)/objpool,g' -e 's,/usr/libexec/objpool\>,$(libexecdir)/objpool,g' \
	-e 's,/usr/lib/objpool/plugins,$(plugindir),g' \
	-e 's,@prefix@,$(prefix),g' -e 's,@libdir@,$(libdir),g' -e 's,@includedir@,$(includedir),g' \
	-e 's,@sbindir@,$(sbindir),g' -e 's,@sysconfdir@,$(sysconfdir),g' -e 's,@plugindir@,$(plugindir),g' \
	-e 's,@VERSION@,$(VERSION),g' -e 's,@MSGPACK_LIBS@,$(strip $(MSGPACK_LIBS)),g' $< > $@

$(B)/packaging/%: packaging/%.in $(B)/paths $(B)/needs.mk
	@mkdir -p $(@D)
	$(FILL)
$(B)/packaging/%: packaging/% $(B)/paths
	@mkdir -p $(@D)
	$(FILL)
# One of several daemons of this machine differs from the main one in names alone. Its configuration has a folder of its own, so
# that conf.d beside it is its own, too.
INSTANCE = rm -f $@; sed -e 's,/objpoold\.conf,/%i/objpoold.conf,g' -e 's,objpoold\.socket,objpoold@%i.socket,g' \
	-e 's,^SyslogIdentifier=.*,&@%i,' -e 's,/objpool\.sock,/%i.sock,' -e 's,^Description=.*,&: %i,' \
	-e 's,systemctl edit objpoold,&@NAME,' $< > $@
$(B)/packaging/objpoold@.service: $(B)/packaging/objpoold.service packaging/install.mk
	$(INSTANCE)
$(B)/packaging/objpoold@.socket: packaging/objpoold.socket packaging/install.mk
	@mkdir -p $(@D)
	$(INSTANCE)
$(B)/packaging/%: client/c/%.in $(B)/paths $(B)/needs.mk
	@mkdir -p $(@D)
	$(FILL)

# Probe crashes and hangs its worker when a caller asks for it: it is for tests, and not for a machine that serves.
INSTALLED := $(filter-out %/probe.so,$(PLUGINS))

# The manual of libobjpool, from its header. `pages` lists the files.
MAN3 := $(B)/man3/pages
all: $(MAN3)
$(MAN3): scripts/man3.py client/include/objpool/client.h client/c/example.c
	$(PYTHON) scripts/man3.py client/include/objpool/client.h client/c/example.c $(@D)

# What goes where: mode:source:destination.
FILES := \
	755:$(B)/objpoold:$(sbindir)/objpoold \
	755:$(B)/objpool:$(bindir)/objpool \
	755:$(B)/objpool-worker:$(libexecdir)/objpool/objpool-worker \
	$(if $(WITH_backtrace),755:$(B)/objpool-backtrace:$(libexecdir)/objpool/objpool-backtrace) \
	$(if $(WITH_nats),755:$(B)/objpool-gateway:$(libexecdir)/objpool/objpool-gateway) \
	755:$(B)/libobjpool.so:$(libdir)/libobjpool.so.0.$(VERSION) \
	644:$(B)/libobjpool.a:$(libdir)/libobjpool.a \
	644:client/include/objpool/client.h:$(includedir)/objpool/client.h \
	644:plugins/include/objpool/plugin.h:$(includedir)/objpool/plugin.h \
	644:$(B)/packaging/objpool.pc:$(pkgconfigdir)/objpool.pc \
	$(foreach p,$(INSTALLED),644:$(p):$(plugindir)/$(notdir $(p))) \
	$(foreach p,$(sort $(PYTHON_MODULES) $(wildcard $(B)/python/*.so)),644:$(p):$(libdir)/objpool/python/$(notdir $(p))) \
	644:$(B)/packaging/man/objpool.1:$(mandir)/man1/objpool.1 \
	644:$(B)/packaging/man/objpoold.conf.5:$(mandir)/man5/objpoold.conf.5 \
	644:$(B)/packaging/man/objpoold.8:$(mandir)/man8/objpoold.8 \
	$(if $(WITH_nats),644:$(B)/packaging/man/objpool-gateway.8:$(mandir)/man8/objpool-gateway.8) \
	644:packaging/completions/objpool.bash:$(bashcompdir)/objpool \
	644:packaging/completions/objpoold.bash:$(bashcompdir)/objpoold \
	644:packaging/completions/_objpool:$(zshcompdir)/_objpool \
	644:packaging/completions/_objpoold:$(zshcompdir)/_objpoold \
	644:packaging/completions/objpool.fish:$(fishcompdir)/objpool.fish \
	644:packaging/completions/objpoold.fish:$(fishcompdir)/objpoold.fish \
	644:$(B)/packaging/objpoold.service:$(unitdir)/objpoold.service \
	644:packaging/objpoold.socket:$(unitdir)/objpoold.socket \
	644:$(B)/packaging/objpoold@.service:$(unitdir)/objpoold@.service \
	644:$(B)/packaging/objpoold@.socket:$(unitdir)/objpoold@.socket \
	644:$(B)/packaging/objpoold.user.service:$(userunitdir)/objpoold.service \
	644:packaging/objpoold.user.socket:$(userunitdir)/objpoold.socket \
	644:packaging/logrotate.conf:$(docdir)/logrotate.conf \
	644:packaging/cages.conf:$(docdir)/cages.conf \
	644:packaging/gateway.conf:$(docdir)/gateway.conf \
	644:packaging/nats-server.conf:$(docdir)/nats-server.conf \
	644:docs/page.webp:$(docdir)/page.webp \
	644:packaging/prometheus/objpool.rules.yml:$(docdir)/prometheus/objpool.rules.yml \
	644:packaging/grafana/objpool.json:$(docdir)/grafana/objpool.json \
	644:packaging/sysusers.conf:$(sysusersdir)/objpool.conf \
	644:packaging/tmpfiles.conf:$(tmpfilesdir)/objpool.conf \
	$(foreach d,$(wildcard docs/*.md README.md CHANGELOG.md SECURITY.md),644:$(d):$(docdir)/$(notdir $(d)))
LINKS := $(libdir)/libobjpool.so.0 $(libdir)/libobjpool.so

OWN_DIRS := $(libexecdir)/objpool $(includedir)/objpool $(plugindir) $(libdir)/objpool/python $(libdir)/objpool \
	$(docdir)/prometheus $(docdir)/grafana $(docdir) \
	$(sysconfdir)/objpool/conf.d $(sysconfdir)/objpool

part = $(word $(1),$(subst :, ,$(2)))
define put
	$(INSTALL) -D -m $(call part,1,$(1)) $(call part,2,$(1)) '$(DESTDIR)$(call part,3,$(1))'

endef

.PHONY: install uninstall
install: all $(FILLED)
	$(foreach f,$(FILES),$(call put,$(f)))
	$(INSTALL) -d '$(DESTDIR)$(mandir)/man3'
	$(INSTALL) -m 644 $$(sed 's,^,$(B)/man3/,' $(MAN3)) '$(DESTDIR)$(mandir)/man3'
	ln -sf libobjpool.so.0.$(VERSION) '$(DESTDIR)$(libdir)/libobjpool.so.0'
	ln -sf libobjpool.so.0 '$(DESTDIR)$(libdir)/libobjpool.so'
	$(INSTALL) -d '$(DESTDIR)$(sysconfdir)/objpool/conf.d'
	@new=$(B)/packaging/objpoold.conf; old='$(DESTDIR)$(CONFIG)'; \
	if [ ! -e "$$old" ]; then $(INSTALL) -m 644 $$new "$$old"; \
	elif cmp -s $$new "$$old"; then rm -f "$$old.new"; \
	else $(INSTALL) -m 644 $$new "$$old.new"; echo "kept $$old; the new default is in $$old.new"; fi
ifeq ($(DESTDIR),)
	@echo 'Installed. As root: ldconfig; systemd-sysusers; systemd-tmpfiles --create; systemctl daemon-reload;' \
		'then systemctl enable --now objpoold (or restart a running one)'
endif

uninstall: $(B)/packaging/objpoold.conf $(MAN3)
	rm -f $(foreach f,$(FILES),'$(DESTDIR)$(call part,3,$(f))') $(LINKS:%='$(DESTDIR)%')
	while read page; do rm -f '$(DESTDIR)$(mandir)/man3/'$$page; done < $(MAN3)
	@old='$(DESTDIR)$(CONFIG)'; rm -f "$$old.new"; \
	if [ ! -e "$$old" ]; then :; elif cmp -s $(B)/packaging/objpoold.conf "$$old"; then rm -f "$$old"; \
	else echo "kept $$old, which has been edited"; fi
	-@rmdir $(OWN_DIRS:%='$(DESTDIR)%') 2>/dev/null || true
