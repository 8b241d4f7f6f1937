/* SPDX-License-Identifier: Apache-2.0 */
/* shown: prints text that others have written. It is escaped, so that it can't act on the reader's terminal (proto/escape.h). */
#ifndef CLI_SHOWN_H
#define CLI_SHOWN_H

#include <stddef.h>
#include <stdio.h>

/* Prints the text on one line. */
void shown_text(FILE *out, const char *text, size_t size);

/* Prints the text with its lines. `indent` comes before each line but the first, so that none looks like a line of objpool's
 * own. Ends without a newline. */
void shown_lines(FILE *out, const char *text, size_t size, const char *indent);

#endif
