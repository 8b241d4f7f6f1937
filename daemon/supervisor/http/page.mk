# SPDX-License-Identifier: Apache-2.0
# The page for people, made one file and part of the daemon. Included by the Makefile.
PAGE := $(addprefix daemon/supervisor/http/page,.html .css _text.js _data.js _graph.js _show.js _form.js)

$(B)/generated/page-file.h: scripts/embed-page.py $(PAGE)
	@mkdir -p $(@D)
	$(PYTHON) scripts/embed-page.py $(PAGE) > $@
$(B)/daemon/supervisor/http/page.o: $(B)/generated/page-file.h
$(B)/daemon/supervisor/http/page.o: private OWN_FLAGS += -I$(B)/generated
$(addprefix $(B)/fuzz/,config http rights tls): $(B)/generated/page-file.h
