/* SPDX-License-Identifier: Apache-2.0 */
/* awake: when a worker polls before it sleeps, and when it sleeps at once. */
#include "daemon/worker/awake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

static int ends[2];

static int wait_once(struct awake *awake)
{
	struct pollfd input = {.fd = ends[0], .events = POLLIN};
	return awake_poll(awake, &input, 1);
}

static void test_input_is_seen(void **state)
{
	struct awake awake = {.known = true, .may = true};

	(void)state;
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(wait_once(&awake), 1);
	assert_int_equal(awake.calm, 0);
}

static void test_after_a_wait_in_vain_the_next_ones_sleep_at_once(void **state)
{
	struct awake awake = {.known = true, .may = true};
	char byte;

	(void)state;
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(wait_once(&awake), 0);
	assert_true(awake.calm > 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	while (awake.calm > 0)
		assert_int_equal(wait_once(&awake), 0);
	assert_int_equal(wait_once(&awake), 1);
}

static void test_with_one_cpu_it_sleeps_at_once(void **state)
{
	struct awake awake = {.known = true};

	(void)state;
	assert_int_equal(wait_once(&awake), 0);
	assert_int_equal(awake.calm, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_input_is_seen),
		cmocka_unit_test(test_after_a_wait_in_vain_the_next_ones_sleep_at_once),
		cmocka_unit_test(test_with_one_cpu_it_sleeps_at_once),
	};

	if (pipe(ends) < 0)
		return 1;
	return cmocka_run_group_tests_name("awake", tests, NULL, NULL);
}
