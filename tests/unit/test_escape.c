/* SPDX-License-Identifier: Apache-2.0 */
/* Text of others in words for people: what is readable stays, what acts on logs and terminals is shown, whatever the bytes. */
#include "proto/escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *text, size_t size, const char *shown)
{
	char room[256];

	assert_int_equal(escape_text(room, sizeof room, text, size), strlen(shown));
	assert_string_equal(room, shown);
}

static void test_readable_text_stays(void **state)
{
	static const char *const texts[] = {"",        "plain ~ text", "é ü ñ",         "漢字",
					    "العربية", "👩‍💻",  "C:\\new \"x\"", "می‌خواهم"};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		expect(texts[i], strlen(texts[i]), texts[i]);
}

static void test_what_acts_is_shown(void **state)
{
	(void)state;
	expect("a\nb\tc\rd", 7, "a\\nb\\tc\\rd");
	expect("\033[31m\a\0\177", 8, "\\e[31m\\x07\\x00\\x7f");
	expect("\xc2\x9b"
	       "1m",
	       4, "\\u009b1m");               /* a control sequence introducer of eight bits */
	expect("\xe2\x80\xae", 3, "\\u202e"); /* right to left from here */
	expect("\xe2\x80\xa8|\xe2\x81\xa6", 7, "\\u2028|\\u2066");
	expect("\xef\xbb\xbf", 3, "\\ufeff");
	expect("\xf3\xa0\x80\x81", 4, "\\U000e0001");
}

static void test_what_is_no_utf8_is_shown(void **state)
{
	(void)state;
	expect("\x9b\xff", 2, "\\x9b\\xff");
	expect("\xc0\xaf", 2, "\\xc0\\xaf");                   /* '/' made too long */
	expect("\xe0\x80\x8a", 3, "\\xe0\\x80\\x8a");          /* so is a newline */
	expect("\xed\xa0\x80", 3, "\\xed\\xa0\\x80");          /* half a pair of UTF-16 */
	expect("\xf4\x90\x80\x80", 4, "\\xf4\\x90\\x80\\x80"); /* beyond Unicode */
	expect("\xe6\xbc", 2, "\\xe6\\xbc");                   /* cut short */
	expect("\xe6\n\xbc", 3, "\\xe6\\n\\xbc");
}

static void test_what_is_too_long_is_cut_between_characters(void **state)
{
	char room[8];

	(void)state;
	assert_int_equal(escape_text(room, sizeof room, "1234567", 7), 7);
	assert_int_equal(escape_text(room, sizeof room, "12345678", 8), 7);
	assert_string_equal(room, "1234...");
	assert_int_equal(escape_text(room, sizeof room, "123漢x", 7), 7);
	assert_int_equal(escape_text(room, sizeof room, "123漢xy", 8), 6);
	assert_string_equal(room, "123...");
	assert_int_equal(escape_text(room, 4, "\n\n\n", 3), 3);
	assert_string_equal(room, "...");
}

static void test_any_bytes_at_any_length(void **state)
{
	uint8_t bytes[64];
	uint32_t seed = 7;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		const size_t size = (size_t)round % sizeof bytes;
		const size_t room = 4 + (size_t)round % 300;
		char *to = malloc(room); /* an exact one, for the sanitizer */
		for (size_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
		const size_t n = escape_text(to, room, (const char *)bytes, size);
		assert_true(n < room && to[n] == '\0' && n <= ESCAPE_MAX * size + 3);
		for (size_t i = 0; i < n; i++)
			assert_true((uint8_t)to[i] >= ' ' && to[i] != 127);
		free(to);
	}
}

static void test_cutting_between_characters(void **state)
{
	(void)state;
	assert_int_equal(escape_whole("abc", 3), 3);
	assert_int_equal(escape_whole("a漢", 4), 4);
	assert_int_equal(escape_whole("a漢", 3), 1);
	assert_int_equal(escape_whole("a漢", 2), 1);
	assert_int_equal(escape_whole("aé", 2), 1);
	assert_int_equal(escape_whole("\x80\x80\x80\x80", 4), 4); /* no character at all */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readable_text_stays),
		cmocka_unit_test(test_what_acts_is_shown),
		cmocka_unit_test(test_what_is_no_utf8_is_shown),
		cmocka_unit_test(test_what_is_too_long_is_cut_between_characters),
		cmocka_unit_test(test_any_bytes_at_any_length),
		cmocka_unit_test(test_cutting_between_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
