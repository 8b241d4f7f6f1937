/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/shown.h"

#include "proto/escape.h"

#include <string.h>

enum { PIECE = 1024 };

void shown_text(FILE *out, const char *text, size_t size)
{
	char escaped[ESCAPE_MAX * PIECE + 1];

	while (size > 0) {
		const size_t n = size > PIECE ? escape_whole(text, PIECE) : size;
		(void)fwrite(escaped, 1, escape_text(escaped, sizeof escaped, text, n), out);
		text += n;
		size -= n;
	}
}

void shown_lines(FILE *out, const char *text, size_t size, const char *indent)
{
	while (size > 0 && text[size - 1] == '\n')
		size--;
	for (;;) {
		const char *end = memchr(text, '\n', size);
		const size_t n = end ? (size_t)(end - text) : size;
		shown_text(out, text, n);
		if (!end)
			return;
		(void)fputc('\n', out);
		(void)fputs(indent, out);
		text += n + 1;
		size -= n + 1;
	}
}
