/* SPDX-License-Identifier: Apache-2.0 */
/* The table of calls in flight, and their deadlines. */
#include "client/c/pending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>

#include <cmocka.h>

static uint32_t add_pending(struct pending *pending, void *context, int64_t deadline)
{
	struct pending_call call = {.context = context, .deadline = deadline};

	assert_int_equal(pending_add(pending, &call), 0);
	return call.msgid;
}

static void test_pending(void **state)
{
	enum { CALLS = 5000 };
	struct pending pending = {0};
	struct pending_call call;
	struct pending_call slow = {0};
	uint32_t ids[CALLS];
	int64_t last = 0;

	(void)state;
	assert_int_equal(pending_add(&pending, &slow), 0);
	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < CALLS; i++)
			ids[i] = add_pending(&pending, &ids[i], 1 + i * 7919 % CALLS);
		for (uint32_t i = 0; i < CALLS; i += 3)
			assert_true(pending_take(&pending, ids[i], &call) && call.context == &ids[i]);
		assert_false(pending_take(&pending, ids[0], &call));
		for (last = 0; pending_take_expired(&pending, CALLS, &call); last = call.deadline)
			assert_true(call.deadline >= last);
		assert_int_equal(pending.count, 1);
	}
	assert_true(pending_find(&pending, slow.msgid) && pending_take(&pending, slow.msgid, &call));
	assert_null(pending_find(&pending, slow.msgid));
	pending.last_id = UINT32_MAX - 1; /* ids begin anew, and never with 0 */
	for (uint32_t i = 0; i < 3; i++)
		ids[i] = add_pending(&pending, NULL, 0);
	assert_true(ids[0] == UINT32_MAX && ids[1] == 1 && ids[2] == 2);
	pending_free(&pending);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pending),
	};

	return cmocka_run_group_tests_name("client pending", tests, NULL, NULL);
}
