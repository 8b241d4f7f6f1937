/* SPDX-License-Identifier: Apache-2.0 */
/* Words of people: what they may have meant, and the forms in which they write addresses. */
#include "proto/address_form.h"
#include "proto/similar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static const char *meant(const char *word)
{
	static const char *const known[] = {"call", "map", "status", "describe", "log-level", "ping", "pause"};
	static char hint[SIMILAR_HINT];
	struct similar similar = similar_to(word, strlen(word));

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		similar_offer(&similar, known[i]);
	return similar_hint(&similar, "--", hint);
}

static void test_a_word_that_is_nearly_right_gets_a_hint(void **state)
{
	(void)state;
	assert_string_equal(meant("stauts"), "; did you mean --status?");
	assert_string_equal(meant("descibe"), "; did you mean --describe?");
	assert_string_equal(meant("CALL"), "; did you mean --call?");
	assert_string_equal(meant("cal"), "; did you mean --call?");
	assert_string_equal(meant("log_levels"), "; did you mean --log-level?");
	assert_string_equal(meant("pnig"), "; did you mean --ping?");
}

static void test_another_word_gets_none(void **state)
{
	char lengthy[4 * SIMILAR_MAX];

	(void)state;
	memset(lengthy, 'a', sizeof lengthy);
	lengthy[sizeof lengthy - 1] = '\0';
	assert_string_equal(meant(""), "");
	assert_string_equal(meant("x"), "");
	assert_string_equal(meant("xyz"), "");
	assert_string_equal(meant("restart"), "");
	assert_string_equal(meant(lengthy), "");
}

static void test_a_word_ends_where_its_size_says(void **state)
{
	char hint[SIMILAR_HINT];
	struct similar similar = similar_to("pol sim", 3);

	(void)state;
	similar_offer(&similar, "pool");
	assert_string_equal(similar_hint(&similar, "", hint), "; did you mean pool?");
}

/* Each client plays the same file. */
static void test_forms_of_addresses(void **state)
{
	json_t *const rows = json_load_file("tests/addresses.json", 0, NULL);
	json_t *row;
	size_t i;

	(void)state;
	assert_true(json_array_size(rows) > 20);
	json_array_foreach(rows, i, row) {
		char room[ADDRESS_FORM_MAX];
		const char *const text = json_string_value(json_object_get(row, "text"));
		assert_string_equal(address_form(text, room), json_string_value(json_object_get(row, "is")));
	}
	json_decref(rows);
}

static void test_an_address_without_room_stays(void **state)
{
	char text[ADDRESS_FORM_MAX + 8], room[ADDRESS_FORM_MAX];

	(void)state;
	memset(text, 'a', sizeof text);
	text[0] = '/';
	text[sizeof text - 1] = '\0';
	assert_ptr_equal(address_form(text, room), text);
	memcpy(text, "tcp://", 6);
	assert_ptr_equal(address_form(text, room), text);
	memcpy(text, "unix://", 7);
	assert_ptr_equal(address_form(text, room), text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_word_that_is_nearly_right_gets_a_hint),
		cmocka_unit_test(test_another_word_gets_none),
		cmocka_unit_test(test_a_word_ends_where_its_size_says),
		cmocka_unit_test(test_forms_of_addresses),
		cmocka_unit_test(test_an_address_without_room_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
