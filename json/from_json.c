/* SPDX-License-Identifier: Apache-2.0 */
#include "json/from_json.h"

#include "proto/base64.h"
#include "proto/escape.h"
#include "proto/pack.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A key of an object that is open. */
struct key {
	const uint8_t *bytes; /* in what is packed */
	size_t size;
};

struct parser {
	const char *text, *at, *end; /* *end is '\0' */
	uint8_t *out;                /* where the next byte is packed */
	struct key *keys;            /* of all objects that are open, the outermost first */
	size_t key_count, key_room;
	const char *wrong; /* what is wrong at `at`; NULL: nothing */
	bool no_memory;
};

static int read_json(struct parser *parser, unsigned levels);

static int fail(struct parser *parser, const char *wrong)
{
	if (!parser->wrong)
		parser->wrong = wrong;
	return -1;
}

/* The same, at a place before that one. */
static int fail_at(struct parser *parser, const char *at, const char *wrong)
{
	parser->at = at;
	return fail(parser, wrong);
}

static void skip_blanks(struct parser *parser)
{
	parser->at += strspn(parser->at, " \t\r\n");
}

static bool take(struct parser *parser, char c)
{
	if (parser->at >= parser->end || *parser->at != c)
		return false;
	parser->at++;
	return true;
}

/* ---- numbers ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int take_digits(struct parser *parser)
{
	if (!is_digit(*parser->at))
		return fail(parser, "a number goes on with a digit");
	while (is_digit(*parser->at))
		parser->at++;
	return 0;
}

/* Passes the fraction and the exponent. 1: there is one; 0: there is none, and the number is an integer; -1. */
static int take_fraction(struct parser *parser)
{
	bool found = false;

	if (take(parser, '.')) {
		found = true;
		if (take_digits(parser) < 0)
			return -1;
	}
	if (take(parser, 'e') || take(parser, 'E')) {
		found = true;
		if (!take(parser, '-'))
			(void)take(parser, '+');
		if (take_digits(parser) < 0)
			return -1;
	}
	return found;
}

static void put_double(struct parser *parser, double number)
{
	uint64_t bits;

	memcpy(&bits, &number, sizeof bits);
	*parser->out++ = BYTE_FLOAT64;
	parser->out = pack_be64(parser->out, bits);
}

static bool read_digits(const char *digits, const char *end, uint64_t *number)
{
	*number = 0;
	for (; digits < end; digits++) {
		if (!is_digit(*digits) || __builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, (uint64_t)(*digits - '0'), number))
			return false;
	}
	return true;
}

static int put_integer(struct parser *parser, const char *begin)
{
	const bool negative = *begin == '-';
	uint64_t number;

	if (!read_digits(begin + negative, parser->at, &number) || (negative && number > (uint64_t)INT64_MAX + 1))
		return fail_at(parser, begin, "the integer does not fit into 64 bits; a float has a point or an exponent");
	parser->out = negative ? pack_int(parser->out, (int64_t)(0 - number)) : pack_uint(parser->out, number);
	return 0;
}

static int read_number_text(struct parser *parser)
{
	const char *begin = parser->at;

	(void)take(parser, '-');
	if (*parser->at == '0' && is_digit(parser->at[1]))
		return fail(parser, "a number does not begin with 0 and another digit");
	if (take_digits(parser) < 0)
		return -1;
	const int fraction = take_fraction(parser);
	if (fraction <= 0)
		return fraction < 0 ? -1 : put_integer(parser, begin);
	const double number = strtod(begin, NULL);
	if (!isfinite(number))
		return fail_at(parser, begin, "the number is too large for a float");
	put_double(parser, number);
	return 0;
}

/* ---- strings ---- */

/* Reads four hexadecimal digits. */
static int read_unit(struct parser *parser, uint32_t *unit)
{
	*unit = 0;
	for (int i = 0; i < 4; i++, parser->at++) {
		const char c = *parser->at, lower = (char)(c | 0x20);
		const bool letter = lower >= 'a' && lower <= 'f';
		if (!is_digit(c) && !letter)
			return fail(parser, "\\u needs four hexadecimal digits");
		*unit = *unit << 4 | (uint32_t)(letter ? lower - 'a' + 10 : c - '0');
	}
	return 0;
}

static uint8_t *put_character(uint8_t *out, uint32_t character)
{
	if (character < 0x80) {
		*out++ = (uint8_t)character;
		return out;
	}
	const unsigned more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3; /* bytes that follow the first */
	*out++ = (uint8_t)(0xff00 >> (more + 1) | character >> 6 * more);
	for (unsigned i = more; i-- > 0;)
		*out++ = (uint8_t)(0x80 | (character >> 6 * i & 0x3f));
	return out;
}

/* What follows \u. */
static int read_escaped_unit(struct parser *parser, const char *begin)
{
	uint32_t unit, low;

	if (read_unit(parser, &unit) < 0)
		return -1;
	if (unit >= 0xdc00 && unit < 0xe000)
		return fail_at(parser, begin, "half of a surrogate pair is no character");
	if (unit >= 0xd800 && unit < 0xdc00) {
		if (parser->at[0] != '\\' || parser->at[1] != 'u')
			return fail_at(parser, begin, "half of a surrogate pair is no character");
		parser->at += 2;
		if (read_unit(parser, &low) < 0)
			return -1;
		if (low < 0xdc00 || low >= 0xe000)
			return fail_at(parser, begin, "half of a surrogate pair is no character");
		unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
	}
	parser->out = put_character(parser->out, unit);
	return 0;
}

static int read_escape(struct parser *parser)
{
	static const char letters[] = "b\bf\fn\nr\rt\t\"\"\\\\//";
	const char *begin = parser->at++; /* the backslash */

	if (take(parser, 'u'))
		return read_escaped_unit(parser, begin);
	for (const char *l = letters; *l; l += 2)
		if (take(parser, *l)) {
			*parser->out++ = (uint8_t)l[1];
			return 0;
		}
	return fail_at(parser, begin, "there is no such escape");
}

static int read_character(struct parser *parser)
{
	const unsigned char c = (unsigned char)*parser->at;
	uint32_t character;

	if (c == '\\')
		return read_escape(parser);
	if (c < 0x20)
		return fail(parser, parser->at == parser->end ? "the text ends within a string"
							      : "a control character in a string must be escaped");
	const size_t n = c < 0x80 ? 1 : escape_decode(parser->at, (size_t)(parser->end - parser->at), &character);
	if (n == 0)
		return fail(parser, "the string is not UTF-8");
	for (size_t i = 0; i < n; i++)
		*parser->out++ = (uint8_t)*parser->at++;
	return 0;
}

/* Reads a string to parser->out, without a header. */
static int read_characters(struct parser *parser)
{
	if (!take(parser, '"'))
		return fail(parser, "a string is expected");
	while (!take(parser, '"'))
		if (read_character(parser) < 0)
			return -1;
	return 0;
}

/* Moves the bytes from `body` on, which end at parser->out, to behind the head that lies at `begin`. */
static void close_gap(struct parser *parser, uint8_t *begin, const uint8_t *body, const uint8_t head[PACK_HEAD], size_t head_size)
{
	const size_t size = (size_t)(parser->out - body);

	memmove(begin + head_size, body, size);
	memcpy(begin, head, head_size);
	parser->out = begin + head_size + size;
}

/* The size of a string or of a container's body is known only at its end: this much is left free before it. */
static uint8_t *leave_gap(struct parser *parser)
{
	uint8_t *begin = parser->out;

	parser->out += PACK_HEAD;
	return begin;
}

static void put_str_head(struct parser *parser, uint8_t *begin)
{
	const uint8_t *body = begin + PACK_HEAD;
	uint8_t head[PACK_HEAD];
	const uint8_t *end = pack_str_head(head, (uint32_t)(parser->out - body));

	close_gap(parser, begin, body, head, (size_t)(end - head));
}

static int read_string(struct parser *parser)
{
	uint8_t *begin = leave_gap(parser);

	if (read_characters(parser) < 0)
		return -1;
	put_str_head(parser, begin);
	return 0;
}

/* ---- what JSON has no form for ---- */

/* Reads a string of base64 to `begin` + PACK_HEAD, and decodes it there. */
static int read_base64(struct parser *parser, const uint8_t *begin)
{
	const char *at = parser->at;
	uint8_t *body = parser->out;

	assert(body == begin + PACK_HEAD);
	if (read_characters(parser) < 0)
		return -1;
	const int64_t size = base64_read(body, (const char *)body, (size_t)(parser->out - body));
	if (size < 0)
		return fail_at(parser, at, "the string is no base64");
	parser->out = body + size;
	return 0;
}

static uint8_t *sized_head(uint8_t *head, uint32_t size, uint8_t head8)
{
	if (size <= UINT8_MAX) {
		*head++ = head8;
		*head++ = (uint8_t)size;
		return head;
	}
	*head++ = (uint8_t)(head8 + (size <= UINT16_MAX ? 1 : 2));
	return size <= UINT16_MAX ? pack_be16(head, (uint16_t)size) : pack_be32(head, size);
}

static int read_bin(struct parser *parser)
{
	uint8_t head[PACK_HEAD], *begin = leave_gap(parser);

	if (read_base64(parser, begin) < 0)
		return -1;
	const uint8_t *end = sized_head(head, (uint32_t)(parser->out - begin - PACK_HEAD), BYTE_BIN8);
	close_gap(parser, begin, begin + PACK_HEAD, head, (size_t)(end - head));
	return 0;
}

static int read_str_bytes(struct parser *parser)
{
	uint8_t *begin = leave_gap(parser);

	if (read_base64(parser, begin) < 0)
		return -1;
	put_str_head(parser, begin);
	return 0;
}

/* The head of an ext: with its type, 6 bytes at most. Of 1, 2, 4, 8 and 16 bytes it has no size. */
static size_t ext_head(uint8_t *head, uint32_t size, int8_t type)
{
	uint8_t *end = head;

	if (size > 0 && size <= 16 && (size & (size - 1)) == 0)
		*end++ = (uint8_t)(BYTE_FIXEXT1 + __builtin_ctz(size));
	else
		end = sized_head(head, size, BYTE_EXT8);
	*end++ = (uint8_t)type;
	return (size_t)(end - head);
}

static int read_type(struct parser *parser, int8_t *type)
{
	const char *at = parser->at;
	char *end;

	const long number = strtol(at, &end, 10);
	if ((*at != '-' && !is_digit(*at)) || end == at || number < INT8_MIN || number > INT8_MAX)
		return fail(parser, "the type of an ext is a number from -128 to 127");
	parser->at = end;
	*type = (int8_t)number;
	return 0;
}

static int read_separator(struct parser *parser, char c, const char *wrong)
{
	skip_blanks(parser);
	if (!take(parser, c))
		return fail(parser, wrong);
	skip_blanks(parser);
	return 0;
}

static int read_ext_pair(struct parser *parser)
{
	static const char wrong[] = "an ext is [TYPE, BASE64]";
	uint8_t head[PACK_HEAD + 1], *begin = leave_gap(parser);
	int8_t type;

	if (read_separator(parser, '[', wrong) < 0 || read_type(parser, &type) < 0 || read_separator(parser, ',', wrong) < 0 ||
	    read_base64(parser, begin) < 0 || read_separator(parser, ']', wrong) < 0)
		return -1;
	const uint8_t *body = begin + PACK_HEAD;
	const size_t size = ext_head(head, (uint32_t)(parser->out - body), type), body_size = (size_t)(parser->out - body);
	memmove(begin + size, body, body_size);
	memcpy(begin, head, size);
	parser->out = begin + size + body_size;
	return 0;
}

static int read_float_name(struct parser *parser)
{
	static const struct {
		const char *text;
		double value;
	} names[] = {{"\"nan\"", NAN}, {"\"inf\"", INFINITY}, {"\"-inf\"", -INFINITY}};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strncmp(parser->at, names[i].text, strlen(names[i].text))) {
			parser->at += strlen(names[i].text);
			put_double(parser, names[i].value);
			return 0;
		}
	return fail(parser, "a $float is \"nan\", \"inf\" or \"-inf\"");
}

static int read_uint_text(struct parser *parser)
{
	const char *at = parser->at, *begin = at + 1;
	const char *end = *at == '"' ? begin + strspn(begin, "0123456789") : begin;
	uint64_t number;

	if (end == begin || *end != '"' || !read_digits(begin, end, &number))
		return fail(parser, "a $uint is a string of digits, up to \"18446744073709551615\"");
	parser->at = end + 1;
	parser->out = pack_uint(parser->out, number);
	return 0;
}

/* ---- arrays and objects ---- */

static void put_container_head(struct parser *parser, uint8_t *begin, uint32_t count, uint8_t *(*pack)(uint8_t *, uint32_t))
{
	uint8_t head[PACK_HEAD];
	const uint8_t *end = pack(head, count);

	close_gap(parser, begin, begin + PACK_HEAD, head, (size_t)(end - head));
}

/* Reads what stands between brackets, by `read_item`, up to the closing one. The opening one has been taken. -1, or how many. */
static int64_t read_items(struct parser *parser, char closing, unsigned levels, int (*read_item)(struct parser *, unsigned))
{
	int64_t count = 0;

	skip_blanks(parser);
	if (take(parser, closing))
		return 0;
	do {
		skip_blanks(parser);
		if (read_item(parser, levels) < 0)
			return -1;
		count++;
		skip_blanks(parser);
	} while (take(parser, ','));
	if (!take(parser, closing))
		return fail(parser, closing == ']' ? "\",\" or \"]\" is expected" : "\",\" or \"}\" is expected");
	return count;
}

static int read_list(struct parser *parser, unsigned levels)
{
	uint8_t *begin = leave_gap(parser);
	const int64_t count = read_items(parser, ']', levels, read_json);

	if (count < 0)
		return -1;
	put_container_head(parser, begin, (uint32_t)count, pack_array);
	return 0;
}

static int add_key(struct parser *parser, struct key key)
{
	if (parser->key_count == parser->key_room) {
		const size_t room = parser->key_room ? 2 * parser->key_room : 32;
		struct key *keys = realloc(parser->keys, room * sizeof *keys);
		if (!keys) {
			parser->no_memory = true;
			return fail(parser, "out of memory");
		}
		parser->keys = keys;
		parser->key_room = room;
	}
	parser->keys[parser->key_count++] = key;
	return 0;
}

static int compare_keys(const void *left, const void *right)
{
	const struct key *a = left, *b = right;

	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	return a->size ? memcmp(a->bytes, b->bytes, a->size) : 0;
}

static int read_member(struct parser *parser, unsigned levels)
{
	uint8_t *begin = leave_gap(parser);

	if (read_characters(parser) < 0)
		return -1;
	const size_t size = (size_t)(parser->out - begin) - PACK_HEAD;
	put_str_head(parser, begin);
	if (add_key(parser, (struct key){.bytes = parser->out - size, .size = size}) < 0 ||
	    read_separator(parser, ':', "\":\" is expected") < 0)
		return -1;
	return read_json(parser, levels);
}

/* Forgets the keys from `first` on. -1: one of them comes twice. */
static int check_keys(struct parser *parser, size_t first, const char *at)
{
	const size_t count = parser->key_count - first;

	parser->key_count = first;
	if (count < 2)
		return 0;
	struct key *keys = parser->keys + first;
	qsort(keys, count, sizeof *keys, compare_keys);
	for (size_t i = 1; i < count; i++)
		if (compare_keys(&keys[i - 1], &keys[i]) == 0)
			return fail_at(parser, at, "the object has the same key twice");
	return 0;
}

static int read_pair(struct parser *parser, unsigned levels)
{
	static const char wrong[] = "a $map is [[KEY, VALUE], ...]";

	if (read_separator(parser, '[', wrong) < 0 || read_json(parser, levels) < 0 || read_separator(parser, ',', wrong) < 0 ||
	    read_json(parser, levels) < 0)
		return -1;
	return read_separator(parser, ']', wrong);
}

static int read_pairs(struct parser *parser, unsigned levels)
{
	uint8_t *begin = leave_gap(parser);

	if (read_separator(parser, '[', "a $map is [[KEY, VALUE], ...]") < 0)
		return -1;
	const int64_t count = read_items(parser, ']', levels, read_pair);
	if (count < 0)
		return -1;
	put_container_head(parser, begin, (uint32_t)count, pack_map);
	return 0;
}

/* The value of the object's first key, which begins with $. */
static int read_special(struct parser *parser, unsigned levels)
{
	static const struct {
		const char *key;
		int (*read)(struct parser *parser);
	} forms[] = {{"\"$bin\"", read_bin},
		     {"\"$str\"", read_str_bytes},
		     {"\"$ext\"", read_ext_pair},
		     {"\"$float\"", read_float_name},
		     {"\"$uint\"", read_uint_text}};
	static const char separator[] = "\":\" is expected", map[] = "\"$map\"";

	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		if (!strncmp(parser->at, forms[i].key, strlen(forms[i].key))) {
			parser->at += strlen(forms[i].key);
			return read_separator(parser, ':', separator) < 0 ? -1 : forms[i].read(parser);
		}
	if (strncmp(parser->at, map, sizeof map - 1) != 0)
		return fail(parser,
			    "an object whose first key begins with $ is $bin, $str, $ext, $float, $uint or $map; a map with such "
			    "a key is {\"$map\": [[KEY, VALUE], ...]}");
	parser->at += sizeof map - 1;
	return read_separator(parser, ':', separator) < 0 ? -1 : read_pairs(parser, levels);
}

static int read_object(struct parser *parser, unsigned levels)
{
	const char *at = parser->at - 1;
	const size_t first = parser->key_count;

	skip_blanks(parser);
	if (parser->at[0] == '"' && parser->at[1] == '$')
		return read_special(parser, levels) < 0
			       ? -1
			       : read_separator(parser, '}', "a $-object has one key: \"}\" is expected");
	uint8_t *begin = leave_gap(parser);
	const int64_t count = read_items(parser, '}', levels, read_member);
	if (count < 0 || check_keys(parser, first, at) < 0)
		return -1;
	put_container_head(parser, begin, (uint32_t)count, pack_map);
	return 0;
}

/* ---- any value ---- */

static int read_word(struct parser *parser)
{
	static const struct {
		const char *text;
		uint8_t byte;
	} words[] = {{"null", BYTE_NIL}, {"true", BYTE_TRUE}, {"false", BYTE_FALSE}};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (!strncmp(parser->at, words[i].text, strlen(words[i].text))) {
			parser->at += strlen(words[i].text);
			*parser->out++ = words[i].byte;
			return 0;
		}
	return fail(parser, parser->at >= parser->end ? "the text ends where a value is expected" : "a value is expected");
}

static int read_json(struct parser *parser, unsigned levels)
{
	const char *at = parser->at;

	if (*at == '"')
		return read_string(parser);
	if (*at == '-' || is_digit(*at))
		return read_number_text(parser);
	if (*at != '[' && *at != '{')
		return read_word(parser);
	if (levels == 0)
		return fail(parser, "the value is nested too deep");
	parser->at++;
	return *at == '[' ? read_list(parser, levels - 1) : read_object(parser, levels - 1);
}

static void say_place(const struct parser *parser, char *reason, size_t size)
{
	unsigned line = 1, column = 1;

	for (const char *p = parser->text; p < parser->at; p++) {
		line += *p == '\n';
		if (*p == '\n')
			column = 1;
		else
			column += ((unsigned char)*p & 0xc0) != 0x80; /* a character, not a byte */
	}
	snprintf(reason, size, "line %u column %u: %s", line, column, parser->wrong);
}

static int read_text_whole(struct parser *parser, unsigned levels)
{
	skip_blanks(parser);
	if (read_json(parser, levels) < 0)
		return -1;
	skip_blanks(parser);
	return parser->at == parser->end ? 0 : fail(parser, "the text goes on after its value");
}

/* No value takes more than 9/4 of its text ("1e0," is a float of nine bytes); gaps that are open come on top. */
static size_t room_for(size_t size, unsigned levels)
{
	return size / 4 * 9 + 9 + (size_t)(levels + 2) * (PACK_HEAD + 9);
}

int from_json(struct account *account, const char *text, size_t size, unsigned levels, struct block **packed, struct span *value,
	      char *reason, size_t reason_size)
{
	struct parser parser = {.text = text, .at = text, .end = text + size};

	*packed = block_new(account, room_for(size, levels));
	if (!*packed)
		return -ENOMEM;
	parser.out = (*packed)->bytes;
	const int r = read_text_whole(&parser, levels);
	free(parser.keys);
	if (r == 0) {
		*value = (struct span){.bytes = (*packed)->bytes, .size = (size_t)(parser.out - (*packed)->bytes)};
		assert(value->size <= (*packed)->capacity);
		return 0;
	}
	*packed = block_unref(*packed);
	say_place(&parser, reason, reason_size);
	return parser.no_memory ? -ENOMEM : -EINVAL;
}
