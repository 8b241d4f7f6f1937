/* SPDX-License-Identifier: Apache-2.0 */
/*
 * escape: makes text of others (clients, plugins, workers, and the names that they give) safe for people to read, in the log
 * and on a terminal. A character that would end a line, move a cursor, change colours or turn the direction of writing is shown
 * instead.
 *
 *   readable characters, in UTF-8                          as they are
 *   tab, newline, carriage return, escape                  \t \n \r \e
 *   other control characters, and bytes that are no UTF-8  \x07
 *   characters that are invisible, or that reorder others  \u202e
 *
 * A backslash stays as it is: no program has to read this back.
 */
#ifndef PROTO_ESCAPE_H
#define PROTO_ESCAPE_H

#include <stddef.h>

enum { ESCAPE_MOST = 4 }; /* bytes that one byte of the text becomes at most */

/*
 * Writes the text to `to`, with a '\0' at its end. A text that does not fit is cut between two characters, and ends with "...".
 * `room` counts the '\0' and is 4 at least. Returns the length.
 */
size_t escape_text(char *to, size_t room, const char *text, size_t size);

/* The number of bytes, up to `size`, after which the text can be cut without cutting a character. */
size_t escape_whole(const char *text, size_t size);

#endif
