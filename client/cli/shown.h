/* SPDX-License-Identifier: Apache-2.0 */
/* shown: text that others have written, for people to read: it can't act on their terminal (proto/escape.h). */
#ifndef CLI_SHOWN_H
#define CLI_SHOWN_H

#include <stddef.h>
#include <stdio.h>

/* On one line. */
void shown_text(FILE *out, const char *text, size_t size);

/* Its lines stay lines; `indent` comes before each but the first, so that none looks like one of objpool's own. No newline at the end. */
void shown_lines(FILE *out, const char *text, size_t size, const char *indent);

#endif
