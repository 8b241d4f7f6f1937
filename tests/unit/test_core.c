/* SPDX-License-Identifier: Apache-2.0 */
/* The core, event by event: what is freed when, and what slots do when workers or calls end. */
#include "tests/unit/core_world.h"

/* ---- what has ended is freed when the event is over ---- */

/* A method of p that has called q, which has called back into p, where that call waits behind the method itself. */
static void cancelling_frees_nothing_that_is_looked_at(void **state)
{
	struct core_world world;
	struct client client;
	char large[CALL_SMALL + 1]; /* the memory of smaller calls is used again, not freed */

	(void)state;
	memset(large, 'x', sizeof large);
	large[CALL_SMALL] = '\0';
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *p = world_pool(&world, "p", 2, &world_settings), *q = world_pool(&world, "q", 1, &world_settings);
	for (unsigned i = 0; i < 2; i++) { /* they are known to be short: more is handed to a worker that is busy */
		world_ask(&client, 1, i ? "p:0.relay" : "p:0.echo", "[", 0);
		world_reply(p->slots[0], world_begin(p->slots[0]), 1000);
	}
	world_ask(&client, 2, "p:1.sleep", "[", 0);
	(void)world_begin(p->slots[1]);
	world_ask(&client, 3, "p:0.relay", "[", 0);
	const uint32_t outer = world_begin(p->slots[0]);
	assert_int_equal(world_say(p->slots[0], "[iis[", 4, FROM_INVOKE, outer, "q.relay", 0), 0);
	const uint32_t inner = world_begin(q->slots[0]);
	assert_int_equal(world_say(q->slots[0], "[iis[s", 4, FROM_INVOKE, inner, "p.echo", 1, large), 0);
	assert_int_equal(p->slots[0]->handed_count, 2); /* the method, and behind it what it waits for in the end */

	struct ticket *ticket = idmap_get(&client.inflight, 3);
	struct error why;
	error_say(&why, ERROR_CANCELLED, RAN_NO, "cancelled");
	ticket->abandoned(ticket, &why);
	core_end_event(&world.core);
	assert_null(idmap_get(&client.inflight, 3));
	assert_int_equal(p->slots[0]->handed_count, 1);
	assert_int_equal(board_state(p->slots[0]->board, outer), BOARD_CANCELLED);
	assert_int_equal(board_state(q->slots[0]->board, inner), BOARD_CANCELLED);
	world_reply(p->slots[0], outer, 1000);
	world_reply(q->slots[0], inner, 1000);
	assert_int_equal(p->calls_count, 1);
	assert_int_equal(q->calls_count, 0);
	client_gone(&client);
	world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cancelling_frees_nothing_that_is_looked_at),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
