/* SPDX-License-Identifier: Apache-2.0 */
/* What the board holds of direct channels (proto/direct.h): who was first, the worker that begins a message or the supervisor
 * that cancels it; also with two threads. */
#include "proto/direct.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MESSAGES = 20000 };

static struct direct_board board;

static int set_up(void **state)
{
	(void)state;
	board_direct_clear(&board.places[3]);
	board_direct_end(&board);
	return 0;
}

static void what_runs_is_told(void **state)
{
	(void)state;
	assert_true(board_direct_begin(&board, 3, 0, false));
	assert_int_equal(board_direct_begun(&board, 3), 1);
	assert_int_equal(board_direct_cancel(&board, 3, 0), 1);
	assert_int_equal(board_direct_cancel(&board, 3, 0), 1);
	assert_int_equal(board_direct_state_in(board.word), DIRECT_CANCELLED);
	assert_false(board_direct_move(&board, DIRECT_STARTED, DIRECT_COMMITTED));
	board_direct_end(&board);
	assert_int_equal(board_direct_cancel(&board, 3, 0), 0);
}

static void what_is_committed_goes_on(void **state)
{
	(void)state;
	assert_true(board_direct_begin(&board, 3, 0, true));
	assert_true(board_direct_is_notification(board.word));
	assert_true(board_direct_move(&board, DIRECT_STARTED, DIRECT_COMMITTED));
	assert_int_equal(board_direct_cancel(&board, 3, 0), 0);
	assert_int_equal(board_direct_state_in(board.word), DIRECT_COMMITTED);
}

static void what_has_not_begun_does_not(void **state)
{
	(void)state;
	assert_int_equal(board_direct_cancel(&board, 3, 1), 2);
	assert_true(board_direct_begin(&board, 3, 0, false));
	board_direct_end(&board);
	assert_false(board_direct_begin(&board, 3, 1, false));
	board_direct_end(&board);
	assert_true(board_direct_begin(&board, 3, 2, false));
	assert_int_equal(board.places[3].cancels, 0);
}

/* However often a client cancels what has ended, the worker is told of each message once, and of DIRECT_CANCELS at a time. */
static void what_has_ended_is_dropped_once(void **state)
{
	(void)state;
	for (uint64_t number = 0; number < DIRECT_CANCELS; number++) {
		assert_int_equal(board_direct_drop(&board, 3, number), 1);
		assert_int_equal(board_direct_drop(&board, 3, number), 2);
	}
	assert_int_equal(board_direct_drop(&board, 3, DIRECT_CANCELS), -1);
	assert_true(board_direct_take_cancel(&board.places[3], 5));
	assert_int_equal(board_direct_drop(&board, 3, DIRECT_CANCELS), 1);
}

static void cells_are_used_again(void **state)
{
	(void)state;
	for (uint64_t n = 0; n < DIRECT_CANCELS; n++)
		assert_int_equal(board_direct_cancel(&board, 3, n), 2);
	assert_int_equal(board_direct_cancel(&board, 3, DIRECT_CANCELS), -1);
	assert_false(board_direct_begin(&board, 3, 0, false));
	assert_int_equal(board_direct_cancel(&board, 3, DIRECT_CANCELS), 2);
	assert_int_equal(board_direct_cancel(&board, 3, 0), 1); /* it is begun, and answered CANCELLED */
	assert_int_equal(board_direct_cancel(&board, 3, DIRECT_CANCELS + 1), -1);
}

/* ---- two threads ---- */

static unsigned char did_run[MESSAGES], saw_cancel[MESSAGES];
static _Atomic bool ended;

static void *worker(void *unused)
{
	(void)unused;
	for (uint64_t n = 0; n < MESSAGES; n++) {
		did_run[n] = board_direct_begin(&board, 3, n, false);
		saw_cancel[n] = board_direct_state_in(board.word) == DIRECT_CANCELLED;
		board_direct_end(&board);
	}
	ended = true;
	return NULL;
}

/* What board_direct_cancel says of a message that has not begun, or has ended, is true. */
static void races(void **state)
{
	unsigned char *said = malloc(MESSAGES);
	pthread_t thread;

	(void)state;
	for (size_t n = 0; n < MESSAGES; n++)
		said[n] = 9;
	assert_int_equal(pthread_create(&thread, NULL, worker, NULL), 0);
	while (!ended) {
		const uint64_t begun = board_direct_begun(&board, 3), n = begun + (begun > 0 ? begun % 3 : 0);
		const int r = n < MESSAGES && said[n] == 9 ? board_direct_cancel(&board, 3, n) : -1;
		if (r >= 0)
			said[n] = (unsigned char)r;
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	for (size_t n = 0; n < MESSAGES; n++) {
		if (said[n] == 2)
			assert_false(did_run[n]);
		if (said[n] == 0 || said[n] == 9)
			assert_true(did_run[n] && !saw_cancel[n]);
	}
	free(said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_runs_is_told, set_up), cmocka_unit_test_setup(what_is_committed_goes_on, set_up),
		cmocka_unit_test_setup(what_has_not_begun_does_not, set_up), cmocka_unit_test_setup(cells_are_used_again, set_up),
		cmocka_unit_test_setup(what_has_ended_is_dropped_once, set_up), cmocka_unit_test_setup(races, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
