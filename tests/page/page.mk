# SPDX-License-Identifier: Apache-2.0
# The page for people in a browser. Included by the Makefile.
.PHONY: check-page
check-page: all # the page for people, in a headless Chromium; leaves pictures of it in build/page
	@sh scripts/deps.sh build test page
	OBJPOOL_BUILD=$(B) $(PYTEST) tests/page
