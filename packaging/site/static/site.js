// SPDX-License-Identifier: Apache-2.0
// Debian's build of furo has no style for "auto" where the system is dark: this decides it. The theme's own button still works.
if (document.body.dataset.theme === "auto")
	document.body.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
