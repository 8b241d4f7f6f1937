/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_text: texts and numbers as they can stand in a column: nothing in them that a terminal would obey, and never half a
 * character. Widths are those of the terminal's cells, as wcwidth(3) knows them in a UTF-8 locale; elsewhere each character
 * has one.
 */
#ifndef CLI_TOP_TEXT_H
#define CLI_TOP_TEXT_H

#include <stddef.h>

/*
 * Copies a text that came from elsewhere, with a NUL: control characters (C1 and those that turn the direction of writing,
 * too) become blanks, bytes that are no UTF-8 question marks. `out` has room for size + 1 bytes; returns how many there are
 * before the NUL.
 */
size_t top_text_clean(char *out, const char *text, size_t size);

/* How many bytes of a clean text fit into `width` cells and `max` bytes, as whole characters; *used: how many cells those
 * take. */
size_t top_text_fit(const char *text, int width, size_t max, int *used);

/* Likewise all of it. */
int top_text_width(const char *text);

/* Each character that isn't ASCII becomes a question mark, in place: for terminals that know no others. */
void top_text_to_ascii(char *text);

enum top_format {
	TOP_COUNT,   /* 123456, 1.23M */
	TOP_RATE,    /* 0.5, 123, 1.23M */
	TOP_SECONDS, /* 1.2s, 3m05s, 2h10m, 5d03h */
	TOP_LATENCY, /* 12us, 3.4ms, then as above */
	TOP_BYTES,   /* 512, 1.5K, 230M */
};

enum { TOP_NUMBER = 32 };

/* At most seven characters for any number that a daemon can honestly have; "-" for NaN, infinities and less than nothing. */
const char *top_number(char text[TOP_NUMBER], double number, enum top_format format);

#endif
