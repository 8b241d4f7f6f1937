# SPDX-License-Identifier: Apache-2.0
# The files that `objpool new` writes, made part of the program. Included by the Makefile.
NEW_FILES := $(wildcard cli/new/all/* cli/new/c/* cli/new/python/*)

$(B)/generated/new-files.h: scripts/embed-files.py $(NEW_FILES)
	@mkdir -p $(@D)
	$(PYTHON) scripts/embed-files.py new_files $(NEW_FILES) > $@
$(B)/cli/command_new.o: $(B)/generated/new-files.h
$(B)/cli/command_new.o: private OWN_FLAGS += -I$(B)/generated
$(B)/fuzz/reply: $(B)/generated/new-files.h
