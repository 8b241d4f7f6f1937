/* SPDX-License-Identifier: Apache-2.0 */
/*
 * escape: makes text that others have written (clients, plugins, workers, and the names that they give) safe to show to people,
 * in the log and on a terminal. A character that would end a line, move a cursor, change colours or turn the direction of
 * writing is shown instead.
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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ESCAPE_MAX = 4 }; /* one byte of the text becomes so many bytes at most */

/*
 * Writes the text to `to`, with a '\0' at its end. A text that does not fit is cut between two characters, and ends with "...".
 * `room` counts the '\0' and is 4 at least. Returns the length.
 */
size_t escape_text(char *to, size_t room, const char *text, size_t size);

/* Decodes the first character of a text that is not empty. Returns its length in bytes, or 0 if the text does not begin with
 * UTF-8. Overlong forms, surrogates, and numbers beyond U+10FFFF are no UTF-8. */
size_t escape_decode(const char *text, size_t size, uint32_t *character);

/* Is the character invisible, or does it change how others are shown? True for the control characters from U+0080 on, too; false
 * for those of ASCII. */
bool escape_is_hidden(uint32_t character);

/* Is the whole text UTF-8? */
bool escape_is_utf8(const char *text, size_t size);

/* The number of bytes, up to `size`, after which the text can be cut without cutting a character. */
size_t escape_whole(const char *text, size_t size);

#endif
