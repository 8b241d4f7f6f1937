/* SPDX-License-Identifier: Apache-2.0 */
/*
 * escape: text of others (clients, plugins, workers, the names that they give) in words for people: in the log, on a terminal.
 * What would end a line, move a cursor, change colours, or turn the direction of writing is shown instead of done.
 *
 *   readable characters, in UTF-8                          as they are
 *   tab, newline, carriage return, escape                  \t \n \r \e
 *   other control characters, and bytes that are no UTF-8  \x07
 *   characters that nobody sees, or that reorder others    \u202e
 *
 * A backslash stays as it is: nobody has to read this back.
 */
#ifndef PROTO_ESCAPE_H
#define PROTO_ESCAPE_H

#include <stddef.h>

enum { ESCAPE_MOST = 4 }; /* a byte becomes at most so many */

/*
 * Writes the text to `to`, with a '\0' at its end, as far as it fits: what is cut is cut between characters, and ends with "...".
 * `room` counts the '\0' and is 4 at least. Returns the length.
 */
size_t escape_text(char *to, size_t room, const char *text, size_t size);

/* The number of bytes, up to `size`, after which the text can be cut without cutting a character. */
size_t escape_whole(const char *text, size_t size);

#endif
