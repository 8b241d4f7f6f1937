/* SPDX-License-Identifier: Apache-2.0 */
/* procfs: what is read of a process serves for half a second. */
#include "daemon/supervisor/base/procfs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { MEGABYTES = 32 };
#define HALF_A_SECOND UINT64_C(500000000)

static void test_a_memo_lasts_half_a_second(void **state)
{
	(void)state;
	struct procfs_memo memo = {0};
	const uint64_t before = procfs_recall(&memo, getpid(), 1).rss;
	char *memory = malloc(MEGABYTES << 20);

	assert_non_null(memory);
	memset(memory, 1, MEGABYTES << 20);
	assert_true(before > 0);
	assert_int_equal(procfs_recall(&memo, getpid(), HALF_A_SECOND).rss, before);
	assert_true(procfs_recall(&memo, getpid(), HALF_A_SECOND + 1).rss >= before + (MEGABYTES / 2 << 20));
	free(memory);
}

static void test_a_memo_is_of_one_process(void **state)
{
	(void)state;
	struct procfs_memo memo = {0};

	assert_true(procfs_recall(&memo, getpid(), 1).rss > 0);
	assert_int_equal(procfs_recall(&memo, 0, 2).rss, 0);
	assert_true(procfs_recall(&memo, getpid(), 3).rss > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_memo_lasts_half_a_second),
		cmocka_unit_test(test_a_memo_is_of_one_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
