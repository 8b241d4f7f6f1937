/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

/* ---- characters ------------------------------------------------------------------------------------------------------------ */

static bool goes_on(const char *text, size_t size, size_t at)
{
	return at < size && ((unsigned char)text[at] & 0xc0) == 0x80;
}

/* The bytes of the character in front, and what it is; 0: it is none in UTF-8. */
static size_t decode(const char *text, size_t size, uint32_t *character)
{
	static const uint32_t min[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char first = (unsigned char)text[0];
	const size_t n = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;

	if (n == 0)
		return 0;
	uint32_t c = n == 1 ? first : first & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if (!goes_on(text, size, i))
			return 0;
		c = c << 6 | ((unsigned char)text[i] & 0x3fu);
	}
	*character = c;
	return c < min[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

/* A terminal might do something at its sight: C0, DEL, C1, separators; directions, which reorder what is beside them. */
static bool is_command(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

size_t top_text_clean(char *out, const char *text, size_t size)
{
	char *end = out;
	uint32_t c = 0;

	while (size > 0) {
		const size_t n = decode(text, size, &c);
		if (n == 0 || is_command(c)) {
			*end++ = n == 0 ? '?' : ' ';
		} else {
			memcpy(end, text, n);
			end += n;
		}
		text += n ? n : 1;
		size -= n ? n : 1;
	}
	*end = '\0';
	return (size_t)(end - out);
}

static int cells(uint32_t c)
{
	const int width = c < 0x80 ? 1 : wcwidth((wchar_t)c);

	return width < 0 ? 1 : width;
}

size_t top_text_fit(const char *text, int width, size_t max, int *used)
{
	const size_t size = strlen(text);
	uint32_t c = 0;
	size_t taken = 0;

	*used = 0;
	while (taken < size) {
		const size_t n = decode(text + taken, size - taken, &c);
		if (n == 0 || taken + n > max || *used + cells(c) > width)
			break;
		*used += cells(c);
		taken += n;
	}
	return taken;
}

int top_text_width(const char *text)
{
	int used;

	(void)top_text_fit(text, 1 << 30, SIZE_MAX, &used);
	return used;
}

void top_text_to_ascii(char *text)
{
	char *out = text;

	for (; *text; text++)
		if (((unsigned char)*text & 0xc0) != 0x80)
			*out++ = (unsigned char)*text < 0x80 ? *text : '?';
	*out = '\0';
}

/* ---- numbers --------------------------------------------------------------------------------------------------------------- */

/* Three digits and a letter, in steps of `step`; the letters begin with that of none. */
static void scaled(char *text, double number, double step, const char *letters)
{
	while (number >= step - 0.5 && letters[1]) {
		number /= step;
		letters++;
	}
	const int digits = *letters == ' ' || number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2;
	snprintf(text, TOP_NUMBER, "%.*f%.*s", digits, number, *letters == ' ' ? 0 : 1, letters);
}

static void count(char *text, double number)
{
	if (number < 999999.5)
		snprintf(text, TOP_NUMBER, "%.0f", number);
	else
		scaled(text, number, 1000, " kMGTPE");
}

static void seconds(char *text, double number)
{
	if (number < 59.95) {
		snprintf(text, TOP_NUMBER, "%.1fs", number);
		return;
	}
	const unsigned long long s = number < 1e15 ? (unsigned long long)(number + 0.5) : 0;
	if (s < 3600)
		snprintf(text, TOP_NUMBER, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(text, TOP_NUMBER, "%lluh%02llum", s / 3600, s / 60 % 60);
	else
		snprintf(text, TOP_NUMBER, "%llud%02lluh", s / 86400, s / 3600 % 24);
}

static void latency(char *text, double number)
{
	const double us = number * 1e6;

	if (us < 999.5)
		snprintf(text, TOP_NUMBER, "%.0fus", us);
	else if (us < 999500)
		snprintf(text, TOP_NUMBER, "%.*fms", us < 9995 ? 2 : us < 99950 ? 1 : 0, us / 1000);
	else
		seconds(text, number);
}

const char *top_number(char text[TOP_NUMBER], double number, enum top_format format)
{
	if (!isfinite(number) || number < 0)
		return strcpy(text, "-");
	switch (format) {
	case TOP_COUNT:
		count(text, number);
		break;
	case TOP_RATE:
		if (number < 99.95)
			snprintf(text, TOP_NUMBER, "%.1f", number);
		else
			count(text, number);
		break;
	case TOP_SECONDS:
		seconds(text, number);
		break;
	case TOP_LATENCY:
		latency(text, number);
		break;
	case TOP_BYTES:
		scaled(text, number, 1024, " KMGTPE");
		break;
	}
	return text;
}
