# SPDX-License-Identifier: Apache-2.0
# A site of all documents and manual pages, in build/site: included by the Makefile. Sphinx makes it (Debian's packages), and what
# it makes needs no network. packaging/site/stage.py says what is on it.
SITE := build/site
PICTURES := $(patsubst %.dot,%.svg,$(wildcard docs/pictures/*.dot))

.PHONY: site pictures
site: $(MAN3) # the documents and manual pages as a site with search, in build/site; its links are checked
	@sh scripts/deps.sh site
	rm -rf $(SITE) $(SITE).pages
	/usr/bin/python3 packaging/site/stage.py $(SITE).pages $(VERSION) packaging/man $(dir $(MAN3))
	/usr/bin/python3 -m sphinx -q -W --keep-going -b html $(SITE).pages $(SITE)
	cp $(SITE)/README.html $(SITE)/index.html
	sed -i '/^@import url(\/javascript\//d' $(SITE)/_static/styles/furo.css # a file of Debian's web server: site.css has what is needed
	rm -rf $(SITE)/.doctrees $(SITE)/.buildinfo
	/usr/bin/python3 packaging/site/check.py $(SITE)
	@echo 'The site begins with $(SITE)/index.html.'

pictures: $(PICTURES) # draw docs/pictures/*.svg anew (graphviz)
docs/pictures/%.svg: docs/pictures/%.dot
	dot -Tsvg $< | sed '/^<!-- Generated/,/-->/d' > $@.new
	mv $@.new $@
