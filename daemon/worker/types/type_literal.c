/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/types/type_literal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 64 /* bytes in the text of a number */ };

/* ---- numbers ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *p, const char *end)
{
	while (p < end && is_digit(*p))
		p++;
	return p;
}

/* The end of a number at p. *whole: it is an integer. */
static const char *end_of_number(const char *p, const char *end, bool *whole)
{
	if (p < end && *p == '-')
		p++;
	p = skip_digits(p, end);
	*whole = true;
	if (p < end && *p == '.') {
		*whole = false;
		p = skip_digits(p + 1, end);
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		const char *digits = p + 1;
		if (digits < end && (*digits == '-' || *digits == '+'))
			digits++;
		if (digits < end && is_digit(*digits)) {
			*whole = false;
			p = skip_digits(digits, end);
		}
	}
	return p;
}

static bool begins_number(const struct type_source *source)
{
	const char *p = source->at, *end = source->end;

	if (p < end && *p == '-')
		p++;
	if (p < end && *p == '.')
		p++;
	return p < end && is_digit(*p);
}

static int set_integer(struct type_source *source, const char *text, msgpack_object *value)
{
	const bool negative = text[0] == '-';

	errno = 0;
	if (negative) {
		value->type = MSGPACK_OBJECT_NEGATIVE_INTEGER;
		value->via.i64 = strtoll(text, NULL, 10);
		if (value->via.i64 == 0)
			value->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
	} else {
		value->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
		value->via.u64 = strtoull(text, NULL, 10);
	}
	return errno ? type_source_fail(source, source->at, "the integer has more than 64 bits") : 0;
}

static int parse_number(struct type_source *source, msgpack_object *value)
{
	char text[NUMBER_MAX];
	bool whole;
	const char *end = end_of_number(source->at, source->end, &whole);
	const size_t size = (size_t)(end - source->at);

	if (size >= sizeof text)
		return type_source_fail(source, source->at, "the number has more than %d digits", NUMBER_MAX - 1);
	memcpy(text, source->at, size);
	text[size] = '\0';
	if (whole && set_integer(source, text, value) < 0)
		return -1;
	if (!whole)
		*value = (msgpack_object){.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = strtod(text, NULL)};
	if (!whole && isinf(value->via.f64))
		return type_source_fail(source, source->at, "the number is too large");
	source->at = end;
	return 0;
}

int type_literal_integer(struct type_source *source, msgpack_object *value)
{
	const char *at = type_source_here(source);

	if (!begins_number(source))
		return type_source_fail(source, at, "an integer must stand here");
	if (parse_number(source, value) < 0)
		return -1;
	return value->type == MSGPACK_OBJECT_FLOAT64 ? type_source_fail(source, at, "an integer must stand here") : 0;
}

/* ---- text and bytes ---- */

/* The value of `n` hexadecimal digits at p; -1: there are not so many. */
static int64_t hex_value(const char *p, const char *end, int n)
{
	int64_t value = 0;

	for (int i = 0; i < n; i++, p++) {
		const char c = p < end ? *p : '\0';
		const int digit = is_digit(c)            ? c - '0'
				  : c >= 'a' && c <= 'f' ? c - 'a' + 10
				  : c >= 'A' && c <= 'F' ? c - 'A' + 10
							 : -1;
		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

/* Writes the character as UTF-8, which takes no more room than its escape. */
static char *put_character(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (char)c;
		return to;
	}
	const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	static const uint8_t heads[] = {0, 0xc0, 0xe0, 0xf0};
	*to++ = (char)(heads[more] | c >> (6 * more));
	for (int i = more - 1; i >= 0; i--)
		*to++ = (char)(0x80 | (c >> (6 * i) & 0x3f));
	return to;
}

/* After a backslash: x, u or U, and digits. */
static int parse_code(struct type_source *source, bool bytes, char **to)
{
	const char kind = *source->at;
	const int digits = kind == 'x' ? 2 : kind == 'u' ? 4 : 8;
	const int64_t code = hex_value(source->at + 1, source->end, digits);

	if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || (bytes && kind != 'x'))
		return type_source_fail(source, source->at - 1, "this escape is no character");
	source->at += 1 + digits;
	if (bytes)
		*(*to)++ = (char)code;
	else
		*to = put_character(*to, (uint32_t)code);
	return 0;
}

static int parse_escape(struct type_source *source, bool bytes, char **to)
{
	static const char names[] = "nrt\\'\"0", values[] = "\n\r\t\\'\"";
	const char c = source->at < source->end ? *source->at : '\0';
	const char *found = c ? strchr(names, c) : NULL;

	if (c == 'x' || c == 'u' || c == 'U')
		return parse_code(source, bytes, to);
	if (!found)
		return type_source_fail(source, source->at, "there is no such escape");
	*(*to)++ = values[found - names]; /* \0 is the NUL behind the others */
	source->at++;
	return 0;
}

/* source->at is behind the opening quote. */
static int parse_quoted(struct type_source *source, char quote, bool bytes, msgpack_object *value)
{
	const char *begin = source->at;
	char *text = msgpack_zone_malloc(source->zone, (size_t)(source->end - begin) + 1), *to = text;

	if (!text)
		return type_source_fail_memory(source);
	while (source->at < source->end && *source->at != quote) {
		const char c = *source->at++;
		if (c != '\\')
			*to++ = c;
		else if (parse_escape(source, bytes, &to) < 0)
			return -1;
	}
	if (source->at == source->end)
		return type_source_fail(source, begin - 1, "the text does not end: %c is missing", quote);
	source->at++;
	*value = type_text((msgpack_object_str){.ptr = text, .size = (uint32_t)(to - text)});
	if (bytes)
		*value = (msgpack_object){.type = MSGPACK_OBJECT_BIN, .via.bin = {.ptr = text, .size = (uint32_t)(to - text)}};
	return 0;
}

/* ---- lists and maps ---- */

static int parse_value(struct type_source *source, msgpack_object *value);

static int parse_list(struct type_source *source, const char *end, msgpack_object *value)
{
	msgpack_object values[TYPE_PARTS_MAX];
	uint32_t n = 0;
	int more;

	for (; (more = type_source_part(source, end, n, TYPE_PARTS_MAX)) > 0; n++)
		if (parse_value(source, &values[n]) < 0)
			return -1;
	return more < 0 ? -1 : type_array(source, values, n, value);
}

static int parse_map(struct type_source *source, msgpack_object *value)
{
	msgpack_object_kv pairs[TYPE_PARTS_MAX];
	uint32_t n = 0;
	int more;

	for (; (more = type_source_part(source, "}", n, TYPE_PARTS_MAX)) > 0; n++)
		if (parse_value(source, &pairs[n].key) < 0 || type_source_expect(source, ":") < 0 ||
		    parse_value(source, &pairs[n].val) < 0)
			return -1;
	return more < 0 ? -1 : type_map(source, pairs, n, value);
}

static int parse_container(struct type_source *source, msgpack_object *value)
{
	int r;

	if (type_source_descend(source) < 0)
		return -1;
	if (type_source_take(source, "["))
		r = parse_list(source, "]", value);
	else if (type_source_take(source, "("))
		r = parse_list(source, ")", value);
	else
		r = type_source_expect(source, "{") < 0 ? -1 : parse_map(source, value);
	source->depth--;
	return r;
}

/* ---- words ---- */

static int parse_word(struct type_source *source, msgpack_object *value)
{
	const char *at = type_source_here(source);
	msgpack_object_str name;

	if (!type_source_name(source, &name))
		return type_source_fail(source, at, "a value must stand here");
	if (source->at < source->end && (*source->at == '"' || *source->at == '\'') && type_text_is(name, "b"))
		return parse_quoted(source, *source->at++, true, value);
	if (type_text_is(name, "None"))
		*value = type_nil();
	else if (type_text_is(name, "True") || type_text_is(name, "False"))
		*value = (msgpack_object){.type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = name.ptr[0] == 'T'};
	else
		return type_source_fail(source, at, "\"%.*s\" is no value", type_shown(name), name.ptr);
	return 0;
}

static int parse_value(struct type_source *source, msgpack_object *value)
{
	if (type_source_ends(source))
		return type_source_fail(source, source->at, "a value must stand here");
	const char c = *source->at;
	if (c == '"' || c == '\'') {
		source->at++;
		return parse_quoted(source, c, false, value);
	}
	if (c == '[' || c == '(' || c == '{')
		return parse_container(source, value);
	return begins_number(source) ? parse_number(source, value) : parse_word(source, value);
}

int type_literal_parse(struct type_source *source, msgpack_object *value)
{
	return parse_value(source, value);
}
