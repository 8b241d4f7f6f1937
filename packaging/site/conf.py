# SPDX-License-Identifier: Apache-2.0
"""Sphinx's settings of the site. stage.py adds the release."""
project = "objpool"
author = "the authors of objpool"
html_title = "objpool"
extensions = ["myst_parser"]
root_doc = "README"
source_suffix = {".md": "markdown"}
exclude_patterns = ["site"]
myst_heading_anchors = 5
suppress_warnings = ["myst.header", "misc.highlighting_failure"]
highlight_language = "text"
smartquotes = False
html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = [("site.js", {"defer": "defer"})]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
