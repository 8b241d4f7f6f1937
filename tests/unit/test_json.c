/* SPDX-License-Identifier: Apache-2.0 */
/* from_json and to_json: JSON of calls by HTTP becomes msgpack, and results become JSON. */
#include "json/from_json.h"
#include "json/to_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LEVELS = 34 };

static const char *packed_as(const char *text, size_t size)
{
	static char hex[2048];
	struct block *packed;
	struct span value;
	char reason[256];
	size_t n = 0;

	assert_int_equal(from_json(NULL, text, size, LEVELS, &packed, &value, reason, sizeof reason), 0);
	for (size_t i = 0; i < value.size && n < sizeof hex - 2; i++)
		n += (size_t)snprintf(hex + n, sizeof hex - n, "%02x", value.bytes[i]);
	block_unref(packed);
	return hex;
}

static const char *refused_as(const char *text, size_t size)
{
	static char reason[256];
	struct block *packed;
	struct span value;

	assert_int_equal(from_json(NULL, text, size, LEVELS, &packed, &value, reason, sizeof reason), -22);
	assert_null(packed);
	return reason;
}

static const char *written_as(const void *bytes, size_t size, size_t piece)
{
	static char text[4096];
	struct evbuffer *out = evbuffer_new();
	struct to_json json;

	to_json_begin(&json, (struct span){.bytes = bytes, .size = size}, TO_JSON_ALONE, out);
	while (!to_json_go_on(&json, piece))
		;
	assert_false(json.failed);
	const size_t n = evbuffer_get_length(out);
	assert_true(n < sizeof text);
	(void)evbuffer_remove(out, text, n);
	text[n] = '\0';
	evbuffer_free(out);
	return text;
}

static const struct {
	const char *json, *hex;
} values[] = {
	{"null", "c0"},
	{" [ true , false ] ", "92c3c2"},
	{"0", "00"},
	{"-0", "00"},
	{"127", "7f"},
	{"-1", "ff"},
	{"9223372036854775807", "cf7fffffffffffffff"},
	{"18446744073709551615", "cfffffffffffffffff"},
	{"-9223372036854775808", "d38000000000000000"},
	{"1.5", "cb3ff8000000000000"},
	{"-0.0", "cb8000000000000000"},
	{"1E2", "cb4059000000000000"},
	{"\"\"", "a0"},
	{"\"a\\u00e9\\ud83d\\ude00\\n\\/\"", "a961c3a9f09f98800a2f"},
	{"\"a\\u0000b\"", "a3610062"},
	{"{}", "80"},
	{"{\"b\": 1, \"a\": [2]}", "82a16201a1619102"},
	{"{\"$bin\": \"AQID\"}", "c403010203"},
	{"{\"$bin\": \"\"}", "c400"},
	{"{\"$str\": \"/w==\"}", "a1ff"},
	{"{\"$str\": \"\\/w==\"}", "a1ff"},
	{"{\"$ext\": [5, \"AQ==\"]}", "d40501"},
	{"{\"$ext\": [-1, \"AQID\"]}", "c703ff010203"},
	{"{\"$float\": \"-inf\"}", "cbfff0000000000000"},
	{"{\"$uint\": \"18446744073709551615\"}", "cfffffffffffffffff"},
	{"{\"$map\": [[1, 2], [\"$bin\", []]]}", "820102a42462696e90"},
	{"{\"a\": 1, \"$bin\": 2}", "82a16101a42462696e02"},
};

static void packs(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		assert_string_equal(packed_as(values[i].json, strlen(values[i].json)), values[i].hex);
}

static const struct {
	const char *json, *reason;
} refusals[] = {
	{"", "line 1 column 1: the text ends where a value is expected"},
	{"[1,\n 2,]", "line 2 column 4: a value is expected"},
	{"[1 2]", "line 1 column 4: \",\" or \"]\" is expected"},
	{"{\"a\" 1}", "line 1 column 6: \":\" is expected"},
	{"{1: 2}", "line 1 column 2: a string is expected"},
	{"[1] x", "line 1 column 5: the text goes on after its value"},
	{"[\"\xc3\xa9\", 01]", "line 1 column 7: a number does not begin with 0 and another digit"},
	{"1.", "line 1 column 3: a number goes on with a digit"},
	{"[NaN]", "line 1 column 2: a value is expected"},
	{"[1e999]", "line 1 column 2: the number is too large for a float"},
	{"[18446744073709551616]", "line 1 column 2: the integer does not fit into 64 bits; a float has a point or an exponent"},
	{"-9223372036854775809", "line 1 column 1: the integer does not fit into 64 bits; a float has a point or an exponent"},
	{"\"a", "line 1 column 3: the text ends within a string"},
	{"\"a\nb\"", "line 1 column 3: a control character in a string must be escaped"},
	{"\"\xff\"", "line 1 column 2: the string is not UTF-8"},
	{"\"\\x\"", "line 1 column 2: there is no such escape"},
	{"\"\\ud800\"", "line 1 column 2: half of a surrogate pair is no character"},
	{"\"\\ude00\"", "line 1 column 2: half of a surrogate pair is no character"},
	{"\"\\u12g4\"", "line 1 column 6: \\u needs four hexadecimal digits"},
	{"[{\"a\": 1, \"b\": 2, \"\\u0061\": 3}]", "line 1 column 2: the object has the same key twice"},
	{"{\"$bin\": \"A\"}", "line 1 column 10: the string is no base64"},
	{"{\"$bin\": \"\", \"a\": 1}", "line 1 column 12: a $-object has one key: \"}\" is expected"},
	{"{\"$ext\": [128, \"\"]}", "line 1 column 11: the type of an ext is a number from -128 to 127"},
	{"{\"$uint\": \"18446744073709551616\"}",
	 "line 1 column 11: a $uint is a string of digits, up to \"18446744073709551615\""},
	{"{\"$map\": [[1]]}", "line 1 column 13: a $map is [[KEY, VALUE], ...]"},
};

static void refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
		assert_string_equal(refused_as(refusals[i].json, strlen(refusals[i].json)), refusals[i].reason);
	assert_string_equal(refused_as("[\0]", 3), "line 1 column 2: a value is expected");
	assert_non_null(strstr(refused_as("{\"$gt\": 5}", 10), "{\"$map\": [[KEY, VALUE], ...]}"));
}

static void bounds_depth(void **state)
{
	char text[201];

	(void)state;
	memset(text, '[', 100);
	memset(text + 100, ']', 100);
	text[200] = '\0';
	assert_string_equal(refused_as(text, 200), "line 1 column 35: the value is nested too deep");
	(void)packed_as(text + 100 - LEVELS, 2 * LEVELS);
	memset(text, '[', 200);
	(void)refused_as(text, 200);
}

/* Each value, and one in pieces, comes back as it was. */
static void writes(void **state)
{
	static const uint8_t all[] = {0x9a, 0xc0, 0xc3, 0xff, 0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				      0xff, 0xcb, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a, 0xa3, 'a',
				      '"',  0x01, 0xa1, 0xff, 0xc4, 0x02, 0x01, 0x02, 0x82, 0xa1, 'k',  0x01,
				      0xa1, 'l',  0x90, 0x81, 0x01, 0x91, 0x80, 0x81, 0xa2, '$',  'x',  0xc0};
	static const char text[] =
		"[null, true, -1, 18446744073709551615, 0.1, \"a\\\"\\u0001\", {\"$str\": \"/w==\"}, {\"$bin\": \"AQI=\"}, "
		"{\"k\": 1, \"l\": []}, {\"$map\": [[1, [{}]]]}]";

	(void)state;
	for (size_t piece = 1; piece < 100; piece++)
		assert_string_equal(written_as(all, sizeof all - 5, piece), text);
	assert_string_equal(written_as(all + sizeof all - 5, 5, 1000), "{\"$map\": [[\"$x\", null]]}");
	assert_string_equal(written_as("\xca\x7f\x80\x00\x00", 5, 1000), "{\"$float\": \"inf\"}");
	assert_string_equal(written_as("\xcb\x40\x00\x00\x00\x00\x00\x00\x00", 9, 1000), "2.0");
	assert_string_equal(written_as("\xd6\xff\x00\x00\x00\x01", 6, 1000), "{\"$ext\": [-1, \"AAAAAQ==\"]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packs),
		cmocka_unit_test(refuses),
		cmocka_unit_test(bounds_depth),
		cmocka_unit_test(writes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
