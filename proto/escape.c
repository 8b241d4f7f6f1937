/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/escape.h"

#include <stdio.h>
#include <string.h>

enum { SHOWN_MAX = 10 }; /* bytes that show one character: \U000e0001 */

struct range {
	uint32_t first, last;
};

/* Characters that are invisible or change how others are shown. The joiners U+200C and U+200D stay: languages and emoji need
 * them. */
static const struct range hidden[] = {
	{0x80, 0x9f},       /* control characters */
	{0xad, 0xad},       /* soft hyphen */
	{0x61c, 0x61c},     /* Arabic letter mark */
	{0x180e, 0x180e},   /* Mongolian vowel separator */
	{0x200b, 0x200b},   /* zero width space */
	{0x200e, 0x200f},   /* marks of direction */
	{0x2028, 0x202e},   /* ends of lines and paragraphs; embeddings and overrides of direction */
	{0x2060, 0x206f},   /* word joiner, invisible operators, isolates of direction */
	{0xfeff, 0xfeff},   /* byte order mark */
	{0xfff9, 0xfffb},   /* interlinear annotation */
	{0xe0000, 0xe007f}, /* tags */
};

bool escape_is_hidden(uint32_t character)
{
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
		if (character >= hidden[i].first && character <= hidden[i].last)
			return true;
	return false;
}

/* How many bytes a character has that begins with this byte; 0: no character does. */
static size_t length_of(uint8_t first)
{
	return first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

size_t escape_decode(const char *from, size_t size, uint32_t *character)
{
	const uint8_t *text = (const uint8_t *)from;
	static const uint32_t min[] = {0, 0, 0x80, 0x800, 0x10000};
	const size_t n = length_of(text[0]);

	if (n == 0 || n > size)
		return 0;
	*character = n == 1 ? text[0] : text[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		*character = *character << 6 | (text[i] & 0x3f);
	}
	const bool surrogate = *character >= 0xd800 && *character <= 0xdfff;
	return *character >= min[n] && *character <= 0x10ffff && !surrogate ? n : 0;
}

static int show_byte(char *to, uint8_t byte)
{
	static const char names[][2] = {{'\t', 't'}, {'\n', 'n'}, {'\r', 'r'}, {'\033', 'e'}};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (byte == (uint8_t)names[i][0])
			return snprintf(to, SHOWN_MAX + 1, "\\%c", names[i][1]);
	return snprintf(to, SHOWN_MAX + 1, "\\x%02x", byte);
}

/* Writes the first character of the text, as it is or escaped. Returns how many bytes of the text it has. */
static size_t show(char *to, int *written, const char *text, size_t size)
{
	uint32_t character;
	const size_t n = escape_decode(text, size, &character);

	if (n == 0 || character < ' ' || character == 0x7f) {
		*written = show_byte(to, (uint8_t)text[0]);
		return 1;
	}
	if (escape_is_hidden(character)) {
		*written = snprintf(to, SHOWN_MAX + 1, character > 0xffff ? "\\U%08x" : "\\u%04x", character);
		return n;
	}
	memcpy(to, text, n);
	*written = (int)n;
	return n;
}

size_t escape_text(char *to, size_t room, const char *text, size_t size)
{
	size_t n = 0, cut_at = 0; /* the last place where "..." would still fit */
	char shown[SHOWN_MAX + 1];
	int written;

	for (size_t i = 0; i < size; n += (size_t)written) {
		i += show(shown, &written, text + i, size - i);
		if (n + (size_t)written >= room) {
			memcpy(to + cut_at, "...", 4);
			return cut_at + 3;
		}
		memcpy(to + n, shown, (size_t)written);
		if (n + (size_t)written + 4 <= room)
			cut_at = n + (size_t)written;
	}
	to[n] = '\0';
	return n;
}

size_t escape_whole(const char *text, size_t size)
{
	for (size_t back = 1; back <= 3 && back < size; back++) {
		const uint8_t byte = (uint8_t)text[size - back];
		if ((byte & 0xc0) != 0x80) /* the last character begins here */
			return length_of(byte) > back ? size - back : size;
	}
	return size;
}

bool escape_is_utf8(const char *text, size_t size)
{
	uint32_t character;
	size_t n = 1;

	for (size_t i = 0; i < size && n > 0; i += n)
		n = (unsigned char)text[i] < 0x80 ? 1 : escape_decode(text + i, size - i, &character);
	return n > 0;
}
