/* SPDX-License-Identifier: Apache-2.0 */
/* The page's history of pools, and the warnings that are kept for it. */
#include "daemon/supervisor/log/log_recent.h"
#include "daemon/supervisor/view/history.h"

#include "daemon/core/records/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
/* after these */
#include <cmocka.h>

static void calls(struct pool *pool, uint64_t nanoseconds, uint32_t count, uint32_t failed)
{
	methods_add_calls(&pool->methods, NULL, nanoseconds, count, failed);
	pool->counts.failures += failed;
}

static void test_a_sample_has_what_came_since_the_last(void **state)
{
	struct history *history = calloc(1, sizeof *history);
	struct pool pool = {0};

	(void)state;
	calls(&pool, 5000, 7, 1);
	history_begin(history, &pool);
	assert_null(history_ago(history, 0));
	calls(&pool, 1000000, 100, 3);
	pool.waiting = 9;
	history_take(history, &pool);
	history_take(history, &pool);
	const struct history_sample *last = history_ago(history, 0), *first = history_ago(history, 1);
	assert_int_equal(first->calls, 100);
	assert_int_equal(first->failures, 3);
	assert_int_equal(first->queue, 9);
	assert_true(first->p50 > 0.0008 && first->p50 < 0.0011 && first->p99 >= first->p50);
	assert_int_equal(last->calls, 0);
	assert_true(last->p50 < 0 && last->p99 < 0);
	assert_null(history_ago(history, 2));
	methods_free(&pool.methods);
	free(history);
}

/* A pool's class has changed: its methods' measures went with it. */
static void test_counts_that_begin_anew(void **state)
{
	struct history *history = calloc(1, sizeof *history);
	struct pool pool = {0};

	(void)state;
	history_begin(history, &pool);
	calls(&pool, 1000000, 100, 0);
	history_take(history, &pool);
	methods_free(&pool.methods);
	calls(&pool, 9000000, 3, 0);
	history_take(history, &pool);
	assert_int_equal(history_ago(history, 0)->calls, 3);
	assert_true(history_ago(history, 0)->p50 > 0.007);
	methods_free(&pool.methods);
	history_take(history, &pool);
	assert_int_equal(history_ago(history, 0)->calls, 0);
	free(history);
}

static void test_ten_minutes_are_kept_and_added_up(void **state)
{
	struct history *old = calloc(1, sizeof *old), *young = calloc(1, sizeof *young), *sum = calloc(1, sizeof *sum);
	struct pool pool = {0};

	(void)state;
	history_begin(old, &pool);
	for (uint32_t i = 1; i <= HISTORY_SAMPLES + 5; i++) {
		calls(&pool, 1000, i, 0);
		history_take(old, &pool);
	}
	assert_int_equal(history_ago(old, 0)->calls, HISTORY_SAMPLES + 5);
	assert_int_equal(history_ago(old, HISTORY_SAMPLES - 1)->calls, 6);
	assert_null(history_ago(old, HISTORY_SAMPLES));
	history_begin(young, &pool);
	for (uint32_t i = 0; i < 2; i++) {
		calls(&pool, 1000, 1000, 0);
		history_take(young, &pool);
	}
	history_add(sum, young);
	history_add(sum, old);
	assert_int_equal(history_ago(sum, 0)->calls, HISTORY_SAMPLES + 1005);
	assert_int_equal(history_ago(sum, 1)->calls, HISTORY_SAMPLES + 1004);
	assert_int_equal(history_ago(sum, 2)->calls, HISTORY_SAMPLES + 3);
	assert_int_equal(history_ago(sum, HISTORY_SAMPLES - 1)->calls, 6);
	methods_free(&pool.methods);
	free(old);
	free(young);
	free(sum);
}

static void test_the_last_warnings_are_kept(void **state)
{
	char text[2 * LOG_RECENT_TEXT];
	const struct log_recent_line *line;

	(void)state;
	assert_null(log_recent_after(0));
	for (int i = 1; i <= LOG_RECENT_LINES + 3; i++)
		log_recent_put(LOG_WARNING, text, (size_t)snprintf(text, sizeof text, "line %d", i));
	line = log_recent_after(0);
	assert_int_equal(line->number, 4);
	assert_string_equal(line->text, "line 4");
	assert_string_equal(log_recent_after(LOG_RECENT_LINES + 2)->text, "line 103");
	assert_null(log_recent_after(LOG_RECENT_LINES + 3));
	memset(text, 'a', sizeof text);
	memcpy(text + LOG_RECENT_TEXT - 5, "\u00e9", 2); /* the cut would go through it */
	log_recent_put(LOG_ERR, text, sizeof text - 1);
	line = log_recent_after(LOG_RECENT_LINES + 3);
	assert_int_equal(line->level, LOG_ERR);
	assert_int_equal(strlen(line->text), LOG_RECENT_TEXT - 2);
	assert_string_equal(line->text + LOG_RECENT_TEXT - 6, "a...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sample_has_what_came_since_the_last),
		cmocka_unit_test(test_counts_that_begin_anew),
		cmocka_unit_test(test_ten_minutes_are_kept_and_added_up),
		cmocka_unit_test(test_the_last_warnings_are_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
