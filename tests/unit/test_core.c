/* SPDX-License-Identifier: Apache-2.0 */
/* The core, event by event: what is freed when, and what slots do when workers or calls end. */
#include "daemon/core/calls/direct_life.h"
#include "daemon/core/calls/recall.h"
#include "daemon/core/dispatch/sticky.h"
#include "daemon/core/dispatch/yield.h"
#include "tests/unit/core_world.h"

/* ---- what has ended is freed when the event is over ---- */

/* A method of p that has called q, which has called back into p, where that call waits for whoever is free. */
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
	assert_int_equal(p->slots[0]->handed_count, 1); /* the method: what it waits for in the end is not put behind it */
	assert_int_equal(p->queue.count, 1);

	struct ticket *ticket = idmap_get(&client.inflight, 3);
	struct error why;
	error_say(&why, ERROR_CANCELLED, RAN_NO, "cancelled");
	ticket->abandoned(ticket, &why);
	core_end_event(&world.core);
	assert_null(idmap_get(&client.inflight, 3));
	assert_int_equal(p->slots[0]->handed_count, 1);
	assert_int_equal(p->queue.count, 0);
	assert_int_equal(board_state(p->slots[0]->board, outer), BOARD_CANCELLED);
	assert_int_equal(board_state(q->slots[0]->board, inner), BOARD_CANCELLED);
	world_reply(p->slots[0], outer, 1000);
	world_reply(q->slots[0], inner, 1000);
	assert_int_equal(p->calls_count, 1);
	assert_int_equal(q->calls_count, 0);
	client_gone(&client);
	world_close(&world);
}

static void a_method_that_has_committed_itself_does_not_wait_for_nobody(void **state)
{
	struct core_world world;
	struct client client;
	struct error why;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *p = world_pool(&world, "p", 1, &world_settings), *q = world_pool(&world, "q", 1, &world_settings);
	struct slot *slot = p->slots[0];
	world_ask(&client, 1, "p.x", "[", 0);
	const uint32_t id = world_begin(slot);
	assert_true(board_move(slot->board, id, BOARD_STARTED, BOARD_COMMITTED));
	assert_int_equal(world_say(slot, "[iis[", 4, FROM_INVOKE, id, "q.y", 0), 0);
	assert_int_equal(q->slots[0]->handed_count, 1);

	error_say(&why, ERROR_CANCELLED, RAN_NO, "cancelled");
	struct ticket *ticket = idmap_get(&client.inflight, 1);
	ticket->abandoned(ticket, &why);
	core_end_event(&world.core);
	assert_non_null(idmap_get(&client.inflight, 1)); /* as long as its caller is there it will be answered */
	assert_int_equal(board_state(slot->board, id), BOARD_COMMITTED);

	client_gone(&client);
	core_end_event(&world.core);
	assert_int_equal(board_state(slot->board, id), BOARD_CANCELLED);
	assert_int_equal(q->slots[0]->handed_count, 0);
	assert_true(TAILQ_EMPTY(&slot->nested.client.tickets));
	world_reply(slot, id, 1000);
	assert_int_equal(p->calls_count, 0);
	world_close(&world);
}

/* ---- what a worker has in its hands ---- */

static void nothing_in_hand_is_nothing_ahead(const struct slot *slot)
{
	assert_int_equal(slot->handed_count, 0);
	assert_int_equal(slot->ahead, 0);
}

/* The method is known to take a microsecond. */
static void learn(struct client *client, struct slot *slot, const char *method)
{
	world_ask(client, 1000, method, "[", 0);
	world_reply(slot, world_begin(slot), 1000);
}

static void cancel(struct client *client, unsigned msgid)
{
	struct ticket *ticket = idmap_get(&client->inflight, msgid);
	struct error why;

	assert_non_null(ticket);
	error_say(&why, ERROR_CANCELLED, RAN_NO, "cancelled");
	ticket->abandoned(ticket, &why);
	core_end_event(client->core);
}

static void what_is_ahead_is_given_back(void **state)
{
	struct core_world world;
	struct client client;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 1, &world_settings);
	struct slot *slot = pool->slots[0];
	learn(&client, slot, "p.short");
	nothing_in_hand_is_nothing_ahead(slot);
	for (unsigned i = 1; i <= 5; i++)
		world_ask(&client, i, "p.short", "[", 0);
	assert_int_equal(slot->handed_count, 5);
	assert_true(slot->ahead > 0);
	world_reply(slot, world_begin(slot), 1000); /* one is answered, */
	cancel(&client, 3);                         /* one taken back, */
	assert_int_equal(world_say(slot, "[iiii", 4, FROM_DEFERRED, world_begin(slot), 0, 1), 0); /* one put off, */
	assert_int_equal(slot->handed_count, 2);
	(void)world_begin(slot);
	ledger_open(slot->board, 1);
	world_exit(slot, SIGKILL); /* and one lost, the last goes back */
	nothing_in_hand_is_nothing_ahead(slot);
	world_ready(slot);
	assert_int_equal(slot->handed_count, 1);
	world_reply(slot, world_begin(slot), 1000);
	nothing_in_hand_is_nothing_ahead(slot);
	assert_true(TAILQ_EMPTY(&client.tickets));
	client_gone(&client);
	world_close(&world);
}

static void a_grace_is_for_its_call_alone(void **state)
{
	struct pool_settings settings = world_settings;
	struct core_world world;
	struct client client;

	(void)state;
	settings.cancel_grace = 100 * MILLISECOND;
	world_open(&world);
	client_init(&client, &world.core);
	struct slot *slot = world_pool(&world, "p", 1, &settings)->slots[0];
	for (unsigned i = 1; i <= 3; i++)
		world_ask(&client, i, "p.slow", "[", 0);
	const uint32_t first = world_begin(slot);
	cancel(&client, 1);
	world_pass(&world, 60 * MILLISECOND);
	world_reply(slot, first, 60 * MILLISECOND); /* in time */
	const uint32_t second = world_begin(slot);
	world_pass(&world, 60 * MILLISECOND);
	assert_int_equal(world.kills, 0); /* the next is not to blame */
	cancel(&client, 2);
	world_pass(&world, 99 * MILLISECOND);
	assert_int_equal(world.kills, 0);
	world_pass(&world, MILLISECOND);
	assert_int_equal(world.kills, 1); /* it is still there */
	assert_string_equal(slot->reason, "a cancelled call did not end within cancel_grace");
	assert_int_equal(slot->by_id[second % BOARD_ENTRIES]->id, second);
	world_exit(slot, SIGKILL);
	assert_string_equal(slot->last_failure, "killed by signal 9 (Killed): a cancelled call did not end within cancel_grace");
	client_gone(&client);
	world_close(&world);
}

/* As the worker says on the board what it is at; 0: nothing. */
static void runs(struct slot *slot, uint32_t id)
{
	atomic_store(&slot->board->running, id);
	atomic_store(&slot->board->since, id ? slot->pool->core->now : 0);
}

/* Two calls are cancelled. The first of them has ended, and its answer is on its way: the second gets no more time for that, and
 * is not forgotten, whichever is cancelled first. */
static void an_answer_on_its_way_gives_no_grace_to_what_runs(void **state)
{
	struct pool_settings settings = world_settings;
	struct core_world world;
	struct client client;

	(void)state;
	settings.cancel_grace = 100 * MILLISECOND;
	for (unsigned first = 1; first <= 2; first++) {
		world_open(&world);
		client_init(&client, &world.core);
		struct slot *slot = world_pool(&world, "p", 1, &settings)->slots[0];
		learn(&client, slot, "p.short");
		world_ask(&client, 1, "p.short", "[", 0);
		world_ask(&client, 2, "p.short", "[", 0);
		(void)world_begin(slot);
		runs(slot, world_begin(slot));
		cancel(&client, first);
		world_pass(&world, 60 * MILLISECOND);
		cancel(&client, 3 - first);
		world_pass(&world, (first == 2 ? 40 : 100) * MILLISECOND);
		assert_int_equal(world.kills, 1);
		runs(slot, 0);
		world_exit(slot, SIGKILL);
		client_gone(&client);
		world_close(&world);
	}
}

/* ---- the board is the worker's to write on ---- */

#define LIE(id) board_items(id, 1000, 1000) /* that it may begin, and has begun, so many items */

static void a_worker_can_t_have_begun_more_than_it_had(void **state)
{
	struct core_world world;
	struct client client;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 1, &world_settings);
	struct slot *slot = pool->slots[0];
	world_ask_in_full(&client, 1, "p:map", "step", "[[iiii{si", 1, 4, 1, 2, 3, 4, 1, "chunk", 2);
	const uint32_t id = world_begin(slot);
	atomic_store(&board_entry(slot->board, id)->items, LIE(id));
	assert_int_equal(world_say(slot, "[iii[n", 4, FROM_RESULTS, id, 0, 1), 0);
	world_exit(slot, SIGSEGV);
	assert_int_equal(pool->counts.lost, 1); /* the other two had not been handed to it */
	world_ready(slot);
	assert_int_equal(world_say(slot, "[iii[nn", 4, FROM_RESULTS, world_begin(slot), 2, 2), 0);
	assert_int_equal(pool->calls_count, 0);
	assert_null(idmap_get(&client.inflight, 1));
	world_ask(&client, 2, "p.step", "[", 0);
	const uint32_t begun = world_begin(slot);
	atomic_store(&board_entry(slot->board, begun)->items, LIE(begun));
	world_exit(slot, SIGSEGV);
	assert_int_equal(pool->counts.lost, 2);
	client_gone(&client);
	world_close(&world);
}

/* ---- the next life ---- */

/* How long the slot waits before it is started again. */
static uint64_t wait_of(const struct slot *slot)
{
	if (slot->state == SLOT_STARTING)
		return 0;
	assert_int_equal(slot->state, SLOT_WAITING);
	assert_true(timer_is_set(&slot->timer));
	return slot->timer.at - slot->pool->core->now;
}

static void the_delay_after_a_failed_constructor_doubles(void **state)
{
	struct core_world world;
	uint64_t delay = 100 * MILLISECOND;

	(void)state;
	world_open(&world);
	struct pool *pool = pool_new(&world.core, "p", 1, &world_settings, NULL);
	struct slot *slot = pool->slots[0];
	for (int i = 0; i < 12; i++) {
		world_exit(slot, 1 << 8);
		assert_true(slot->broken);
		assert_int_equal(wait_of(slot), delay);
		world_pass(&world, delay);
		assert_int_equal(slot->state, SLOT_STARTING);
		delay = 2 * delay < 30 * SECOND ? 2 * delay : 30 * SECOND;
	}
	world_ready(slot);
	assert_false(slot->broken);
	world_exit(slot, SIGSEGV);
	world_pass(&world, wait_of(slot));
	world_exit(slot, 1 << 8);
	assert_int_equal(wait_of(slot), 100 * MILLISECOND); /* one that was built ends the row */
	world_pass(&world, wait_of(slot));
	world_ready(slot);
	world_pass(&world, 10 * SECOND); /* a good life */
	world_exit(slot, SIGSEGV);
	assert_int_equal(wait_of(slot), 0);
	world_exit(slot, 1 << 8);
	assert_int_equal(wait_of(slot), 100 * MILLISECOND); /* it begins anew */
	world_close(&world);
}

static void who_dies_young_again_and_again_waits(void **state)
{
	struct core_world world;
	uint64_t delay = 10 * MILLISECOND;

	(void)state;
	world_open(&world);
	struct slot *slot = world_pool(&world, "p", 1, &world_settings)->slots[0];
	world_exit(slot, SIGSEGV);
	assert_int_equal(wait_of(slot), 0); /* once is nothing */
	for (int i = 0; i < 10; i++) {
		world_ready(slot);
		world_pass(&world, SECOND); /* young */
		world_exit(slot, SIGSEGV);
		assert_int_equal(wait_of(slot), delay);
		world_pass(&world, delay);
		delay = 2 * delay < SECOND ? 2 * delay : SECOND;
	}
	world_ready(slot);
	world_pass(&world, 10 * SECOND);
	world_exit(slot, SIGSEGV);
	assert_int_equal(wait_of(slot), 0);
	world_close(&world);
}

/* ---- starts that take too long ---- */

static void start_timeout_is_the_constructor_s(void **state)
{
	struct core_world world;

	(void)state;
	world_open(&world);
	struct slot *slot = pool_new(&world.core, "p", 1, &world_settings, NULL)->slots[0];
	world_pass(&world, 30 * SECOND - 1);
	assert_int_equal(world.kills, 0);
	world_pass(&world, 1);
	assert_int_equal(world.kills, 1);
	world_exit(slot, SIGKILL);
	assert_string_equal(slot->last_failure, "the constructor took longer than start_timeout");
	world_close(&world);
}

static void each_replay_has_its_own_patience(void **state)
{
	struct core_world world;
	struct client client;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct slot *slot = world_pool(&world, "p", 1, &world_settings)->slots[0];
	world_ask_in_full(&client, 1, "p:all", "load", "[{ss", 0, 1, "sticky", "append");
	world_reply(slot, world_begin(slot), 40 * SECOND); /* longer than start_timeout */
	world_exit(slot, SIGKILL);
	world_pass(&world, 29 * SECOND);
	assert_int_equal(world_say(slot, "[is", 2, FROM_REPLAYING, "set"), 0);
	world_pass(&world, 29 * SECOND);
	assert_int_equal(world_say(slot, "[is", 2, FROM_REPLAYING, "load"), 0);
	world_pass(&world, 79 * SECOND);
	assert_int_equal(world.kills, 0);
	world_pass(&world, SECOND);
	assert_int_equal(world.kills, 1);
	world_exit(slot, SIGKILL);
	assert_string_equal(slot->last_failure, "the sticky call of load, replayed, took longer than 80 s (see start_timeout)");
	world_pass(&world, SECOND);
	assert_int_equal(world_say(slot, "[is", 2, FROM_REPLAYING, "set"), 0);
	world_exit(slot, SIGSEGV);
	assert_string_equal(slot->last_failure,
			    "the worker was killed by signal 11 (Segmentation fault) in a sticky call that was replayed: set");
	client_gone(&client);
	world_close(&world);
}

/* ---- very many at once ---- */

static void the_calls_of_a_dropped_pool_fail_in_portions(void **state)
{
	struct core_world world;
	struct client client;
	struct slot *slot;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 1, &world_settings);
	for (unsigned i = 0; i < 900; i++)
		world_ask(&client, i, "p.x", "[", 0);
	pool_drop(pool, ERROR_CANCELLED, "it is too much");
	core_end_event(&world.core);
	assert_in_range(client.inflight.count, 500, 899); /* the others wait for the next turns */
	for (int i = 0; i < 10; i++)
		world_pass(&world, 1);
	assert_int_equal(client.inflight.count, 0);
	slot = TAILQ_FIRST(&pool->detached);
	assert_int_equal(slot->state, SLOT_STOPPING);
	client_gone(&client);
	world_close(&world);
}

static void what_was_put_off_is_lost_in_portions(void **state)
{
	struct core_world world;
	struct client client;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 1, &world_settings);
	struct slot *slot = pool->slots[0];
	for (unsigned i = 1; i <= 900; i++) {
		world_ask(&client, i, "p.x", "[", 0);
		ledger_open(slot->board, i);
		assert_int_equal(world_say(slot, "[iiii", 4, FROM_DEFERRED, world_begin(slot), 0, i), 0);
	}
	world_exit(slot, SIGKILL);
	assert_int_equal(slot->lost, 900);
	assert_in_range(client.inflight.count, 500, 899); /* the others are told in the next turns */
	cancel(&client, 900);
	assert_int_equal(slot_restart(slot, "restart"), 2);
	for (int i = 0; i < 10; i++)
		world_pass(&world, 1);
	assert_int_equal(client.inflight.count, 0);
	assert_int_equal(pool->calls_count, 0);
	client_gone(&client);
	world_close(&world);
}

/* Calls that wait for their client to read, so as to yield more, and whose worker has died, are told of nothing more. */
static void what_yields_is_lost_in_portions(void **state)
{
	struct core_world world;
	struct client client;
	char text[1500] = "";

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 1, &world_settings);
	struct slot *slot = pool->slots[0];
	memset(text, 'x', sizeof text - 1);
	for (unsigned i = 1; i <= 300; i++) {
		world_ask_in_full(&client, i, "p", "x", "[{st", 0, 1, "stream");
		ledger_open(slot->board, i);
		assert_int_equal(world_say(slot, "[iiiit", 5, FROM_DEFERRED, world_begin(slot), 0, i), 0);
	}
	client.stalled = true;
	for (size_t given = 0; given <= YIELD_AHEAD; given += sizeof text)
		assert_int_equal(world_say(slot, "[ius", 3, FROM_YIELD, TASK_DEFERRED + 300, text), 0);
	assert_false(TAILQ_EMPTY(&client.yielding));
	world_exit(slot, SIGKILL);
	assert_in_range(client.inflight.count, 1, 299); /* the others are told in the next turns */
	client.stalled = false;
	yield_resume(&client);
	for (int i = 0; i < 5; i++)
		world_pass(&world, 1);
	assert_int_equal(client.inflight.count, 0);
	client_gone(&client);
	world_close(&world);
}

static unsigned fired;

static void on_fired(struct timer *timer)
{
	(void)timer;
	fired++;
}

static void timers_fire_in_portions(void **state)
{
	struct timers timers = {0};
	struct timer timer[5] = {0};

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(timer_open(&timers, &timer[i], on_fired), 0);
		timer_set(&timers, &timer[i], (uint64_t)i);
	}
	timers_run(&timers, 100, 3);
	assert_int_equal(fired, 3);
	assert_int_equal(timers_next(&timers), 3);
	timers_run(&timers, 100, 3);
	assert_int_equal(fired, 5);
	timers_free(&timers);
}

/* ---- what is remembered, in portions ---- */

static void remember(struct client *client, struct slot *slot, const char *method, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		world_ask_in_full(client, 1, "p:all", method, "[i{ss", 1, i, 1, "sticky", "append");
		world_reply(slot, world_begin(slot), 1);
		sendq_clear(&slot->out);
		sendq_clear(&client->out);
	}
}

static void start_again(struct slot *slot)
{
	world_exit(slot, SIGKILL);
	slot_on_connected(slot, 1, (struct span){0}, (struct span){0}, (struct span){0});
}

/* The worker begins all that it is given, and what follows. How many calls; `most` had been given, and not begun, at most. */
static unsigned replay_all(struct slot *slot, unsigned *most)
{
	unsigned begun = 0;

	*most = 0;
	for (; slot->replay.ahead > 0; begun++) {
		*most = slot->replay.ahead > *most ? slot->replay.ahead : *most;
		assert_true(slot->out.bytes < 4096);
		sendq_clear(&slot->out);
		assert_int_equal(world_say(slot, "[is", 2, FROM_REPLAYING, "x"), 0);
	}
	assert_false(replay_is_due(&slot->replay));
	return begun;
}

static void a_worker_replays_in_portions(void **state)
{
	struct core_world world;
	struct client client;
	unsigned most;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct slot *slot = world_pool(&world, "p", 1, &world_settings)->slots[0];
	remember(&client, slot, "x", 100);
	start_again(slot);
	assert_int_equal(replay_all(slot, &most), 100);
	assert_in_range(most, 1, 16);
	world_ready(slot);
	client_gone(&client);
	world_close(&world);
}

static void what_is_forgotten_meanwhile_is_not_replayed(void **state)
{
	struct core_world world;
	struct client client;
	unsigned most;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct slot *slot = world_pool(&world, "p", 1, &world_settings)->slots[0];
	remember(&client, slot, "x", 50);
	remember(&client, slot, "y", 3);
	start_again(slot);
	const unsigned given = slot->replay.ahead;
	assert_int_equal(sticky_forget(slot->pool, (struct span){.bytes = (const uint8_t *)"x", .size = 1}), 50);
	assert_int_equal(replay_all(slot, &most), given + 3);
	start_again(slot);
	assert_int_equal(sticky_forget(slot->pool, (struct span){0}), 3);
	assert_int_equal(replay_all(slot, &most), 3);
	client_gone(&client);
	world_close(&world);
}

/* A successor whose predecessor's state it can't restore gets no task before it has replayed. */
static void tasks_wait_for_what_is_replayed(void **state)
{
	struct core_world world;
	struct client client;
	unsigned most;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 1, &world_settings);
	struct slot *old = pool->slots[0];
	pool->has_snapshot = true;
	remember(&client, old, "x", 20);
	(void)slot_restart(old, "restart");
	struct slot *new = old->successor;
	slot_on_connected(new, 1, (struct span){0}, (struct span){0}, (struct span){0});
	world_ready(new);
	assert_int_equal(world_say(old, "[ii", 2, FROM_STATE, 7), 0);
	world_exit(old, 0);
	assert_ptr_equal(pool->slots[0], new);
	world_ask(&client, 1, "p.echo", "[", 0);
	assert_int_equal(new->handed_count, 0);
	assert_int_equal(world_say(new, "[i[ssnnns", 2, FROM_RESTORED, 6, "FAILED", "no", "yes"), 0);
	assert_int_equal(new->handed_count, 0);
	assert_int_equal(replay_all(new, &most), 20);
	world_pass(&world, 1);
	assert_int_equal(new->handed_count, 1);
	assert_int_equal(world_say(new, "[i", 1, FROM_RESTORED), -EBADMSG);
	world_exit(new, SIGKILL);
	client_gone(&client);
	world_close(&world);
}

static void what_is_remembered_is_counted(void **state)
{
	struct core_world world;
	struct client client;
	struct pool_settings settings = world_settings;

	(void)state;
	settings.max_sticky = UINT64_C(1) << 32;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 1, &settings);
	remember(&client, pool->slots[0], "x", STICKY_MAX);
	world_ask_in_full(&client, 1, "p:all", "x", "[{ss", 0, 1, "sticky", "append");
	assert_int_equal(pool->stickies.count, STICKY_MAX);
	assert_true(TAILQ_EMPTY(&client.tickets)); /* refused at once */
	world_ask_in_full(&client, 1, "p:all", "x", "[{ss", 0, 1, "sticky", "replace");
	world_reply(pool->slots[0], world_begin(pool->slots[0]), 1);
	assert_int_equal(pool->stickies.count, 1);
	client_gone(&client);
	world_close(&world);
}

/* Does the answer, or what else the client has been sent, contain the text? */
static bool is_told(const struct client *client, const char *text)
{
	struct iovec iov[16];
	uint8_t bytes[4096];
	size_t n = 0;

	for (int i = 0, count = sendq_iov(&client->out, iov, 16); i < count; i++) {
		assert_in_range(iov[i].iov_len, 0, sizeof bytes - n);
		memcpy(bytes + n, iov[i].iov_base, iov[i].iov_len);
		n += iov[i].iov_len;
	}
	return memmem(bytes, n, text, strlen(text));
}

/* The worker may have refused the first item, for want of memory or because its arguments are wrong, and been killed before it could say
 * so. */
static void an_item_that_had_begun_may_not_have_run(void **state)
{
	struct core_world world;
	struct client client;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	client.error_form = ERRORS_AS_MAP;
	struct pool *pool = world_pool(&world, "p", 1, &world_settings);
	world_ask_in_full(&client, 1, "p:map", "step", "[[ii{si", 1, 2, 1, 2, 1, "chunk", 2);
	const uint32_t id = world_begin(pool->slots[0]);
	assert_true(board_begin_item(pool->slots[0]->board, id));
	world_exit(pool->slots[0], SIGKILL);
	assert_true(is_told(&client, "maybe"));
	assert_false(is_told(&client, "has run"));
	client_gone(&client);
	world_close(&world);
}

/* ---- items that are fed ---- */

static void feed(struct client *client, unsigned msgid, unsigned item)
{
	uint8_t message[16], *p = message;
	struct rpc rpc = {.type = RPC_NOTIFICATION};

	p = pack_uint(pack_array(pack_uint(pack_array(p, 2), msgid), 1), item);
	rpc.params = (struct span){.bytes = message, .size = (size_t)(p - message)};
	request_feed(client, &rpc, NULL);
	core_end_event(client->core);
}

/* A map in rounds whose items come when the pool has let all its idle instances go. */
static void what_is_fed_wakes_a_pool_that_is_asleep(void **state)
{
	struct pool_settings settings = world_settings;
	struct core_world world;
	struct client client;

	(void)state;
	settings.workers_max = 2;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 1, &settings);
	world_ask_in_full(&client, 1, "p:map", "double", "n{stst", 2, "stream", "sync");
	assert_int_equal(pool->calls_count, 1);
	assert_int_equal(pool_resize(pool, 0), 0);
	core_end_event(&world.core);
	feed(&client, 1, 21);
	assert_int_equal(pool->size, 1);
	world_ready(pool->slots[0]);
	assert_int_equal(pool->slots[0]->handed_count, 1);
	client_gone(&client);
	world_close(&world);
}

/* ---- how much is handed ahead ---- */

/* The method is measured, as an item of so many nanoseconds. */
static void measure(struct client *client, struct pool *pool, const char *target, uint64_t nanoseconds)
{
	world_ask(client, 1000, target, "[", 0);
	world_reply(pool->slots[0], world_begin(pool->slots[0]), nanoseconds);
}

/* A map of so many nils, streamed or not. */
static void ask_items(struct client *client, unsigned msgid, const char *method, uint32_t count, bool stream)
{
	uint8_t message[4096] = "objpool.call", *params = message + 12, *p = params; /* params lie behind the method */
	struct rpc rpc = {.type = RPC_REQUEST, .msgid = msgid, .method = {.bytes = message, .size = 12}};

	assert_in_range(count, 1, sizeof message - 80);
	p = pack_str(pack_str(pack_array(p, stream ? 4 : 3), "p:map", 5), method, strlen(method));
	p = pack_array(pack_array(p, 1), count);
	memset(p, BYTE_NIL, count);
	p += count;
	if (stream) {
		p = pack_str(pack_map(p, 1), "stream", 6);
		*p++ = 0xc3; /* true */
	}
	rpc.params = (struct span){.bytes = params, .size = (size_t)(p - params)};
	assert_int_equal(request_full_call(client, &rpc, NULL), 0);
	core_end_event(client->core);
}

static void ask_map(struct client *client, unsigned msgid, const char *method, uint32_t count)
{
	ask_items(client, msgid, method, count, false);
}

static void ask_stream(struct client *client, unsigned msgid, const char *method, uint32_t count)
{
	ask_items(client, msgid, method, count, true);
}

/* A map that has the pool for itself is handed far ahead, in batches of more; what others then wait for is taken back. */
static void a_map_that_is_alone_is_handed_far_ahead(void **state)
{
	struct core_world world;
	struct client first, second;

	(void)state;
	world_open(&world);
	client_init(&first, &world.core);
	client_init(&second, &world.core);
	struct pool *pool = world_pool(&world, "p", 2, &world_settings);
	const struct slot *slot = pool->slots[0], *other = pool->slots[1];
	measure(&first, pool, "p:0.short", 36000);
	ask_map(&first, 1, "short", 2000);
	assert_in_range(slot->ahead, SLOT_AHEAD_MAX / 2, SLOT_AHEAD_MAX);
	assert_in_range(other->ahead, SLOT_AHEAD_MAX / 2, SLOT_AHEAD_MAX);
	assert_in_range(TAILQ_FIRST(&slot->handed)->count, 20, 28);

	world_ask(&second, 1, "p.short", "[", 0);
	assert_int_equal(pool->queue.flows, 2);
	world_pass(&world, 0);
	assert_in_range(slot->ahead, 1, SLOT_AHEAD);
	assert_in_range(other->ahead, 1, SLOT_AHEAD);
	assert_int_equal(pool->queue.flows, 1); /* the second client's call is with a worker */
	client_gone(&second);
	client_gone(&first);
	world_close(&world);
}

/* A single call of the client whose stream has the pool for itself passes what the workers have not begun of the stream. */
static void a_call_passes_the_items_of_its_clients_stream(void **state)
{
	struct core_world world;
	struct client client;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 1, &world_settings);
	struct slot *slot = pool->slots[0];
	measure(&client, pool, "p:0.short", 36000);
	ask_stream(&client, 1, "short", 2000);
	assert_in_range(slot->ahead, SLOT_AHEAD_MAX / 2, SLOT_AHEAD_MAX);
	(void)world_begin(slot);
	world_ask(&client, 2, "p.short", "[", 0);
	world_pass(&world, 0);
	assert_int_equal(TAILQ_FIRST(&slot->handed)->count, 1); /* what it runs */
	assert_int_equal(TAILQ_NEXT(TAILQ_FIRST(&slot->handed), link)->call->ticket.msgid, 2);
	assert_in_range(slot->ahead, 1, SLOT_AHEAD / 2);
	assert_true(TAILQ_FIRST(&pool->calls)->input.count > 1800);
	client_gone(&client);
	world_close(&world);
}

/* The tasks of the call that wait in the pool's queue, and then those that wait in the call, go up from `first` on. */
static void expect_ascending(const struct pool *pool, const struct call *call, uint64_t first)
{
	struct flow *flow = queue_flow(&pool->queue, call->ticket.client->id, call->priority);
	const struct batch *batch;

	struct batch_list none = TAILQ_HEAD_INITIALIZER(none);
	TAILQ_FOREACH(batch, flow ? &flow->batches : &none, link)
		if (batch->call == call) {
			assert_true(batch->first >= first);
			first = batch->first + batch->count;
		}
	TAILQ_FOREACH(batch, &call->input.items, link) {
		assert_true(batch->first >= first);
		first = batch->first + batch->count;
	}
}

/* Other tasks come: of a stream, earlier items go before later items all the same, those of the queue as well, and behind the
 * call for which they were taken back. */
static void items_that_are_taken_back_keep_their_order(void **state)
{
	struct core_world world;
	struct client client;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 3, &world_settings);
	measure(&client, pool, "p:0.short", 36000);
	ask_stream(&client, 1, "short", 3000);
	for (unsigned i = 0; i < 3; i++)
		(void)world_begin(pool->slots[i]);
	world_ask(&client, 2, "p.short", "[", 0);
	const struct call *stream = TAILQ_FIRST(&pool->calls);
	for (unsigned i = 0; i < 3; i++)
		assert_true(pool->slots[i]->handed_count > 3);
	recall_on_timer(&pool->recall);
	for (unsigned i = 0; i < 3; i++) /* the item that runs; perhaps the call, and first items */
		assert_in_range(pool->slots[i]->ahead, 1, SLOT_AHEAD + MILLISECOND / 2);
	expect_ascending(pool, stream, 3);
	core_end_event(&world.core);
	client_gone(&client);
	world_close(&world);
}

/* The slot's worker begins and answers all items of maps that it has in hand, until it gets no more. */
static void finish_items(struct slot *slot)
{
	const struct batch *batch;

	while ((batch = TAILQ_FIRST(&slot->handed))) {
		const uint32_t id = batch->id;
		const uint64_t first = batch->first;
		(void)board_move(slot->board, id, BOARD_HANDED, BOARD_STARTED);
		for (uint32_t i = 0, count = batch->count; i < count; i++) {
			(void)board_begin_item(slot->board, id);
			const int r = world_say(slot, "[iii[n", 4, FROM_RESULTS, id, (unsigned)first + i, 1);
			assert_int_equal(r, 0);
		}
	}
}

/* So do items that wait behind slow items of several instances. */
static void items_behind_slow_ones_keep_their_order(void **state)
{
	struct core_world world;
	struct client client;
	uint64_t next = 0;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 3, &world_settings);
	measure(&client, pool, "p:0.short", 36000);
	ask_map(&client, 1, "short", 200);
	for (unsigned i = 0; i < 2; i++) {
		(void)world_begin(pool->slots[i]);
		atomic_store(&pool->slots[i]->board->since, world.core.now);
	}
	recall_on_timer(&pool->recall); /* where the workers are is noted */
	finish_items(pool->slots[2]);
	assert_true(pool->slots[0]->handed_count > 1 && pool->slots[1]->handed_count > 1);
	world.core.now += MILLISECOND;
	recall_on_timer(&pool->recall);
	assert_int_equal(pool->slots[0]->handed_count, 1);
	assert_int_equal(pool->slots[1]->handed_count, 1);
	const struct batch *batch;
	TAILQ_FOREACH(batch, &pool->slots[2]->handed, link) {
		assert_true(batch->first >= next);
		next = batch->first + batch->count;
	}
	assert_true(next > 0);
	expect_ascending(pool, TAILQ_FIRST(&pool->calls), next);
	core_end_event(&world.core);
	client_gone(&client);
	world_close(&world);
}

/* A client that stops reading: what workers have not begun for it is taken back, and goes on when it reads. */
static void what_is_ahead_waits_for_a_client_that_does_not_read(void **state)
{
	static const uint8_t unread[2000];
	struct core_world world;
	struct client client, other;

	(void)state;
	world_open(&world);
	world.core.limits.max_unsent = 1000;
	client_init(&client, &world.core);
	client_init(&other, &world.core);
	struct pool *pool = world_pool(&world, "p", 1, &world_settings);
	struct slot *slot = pool->slots[0];
	measure(&client, pool, "p:0.short", 36000);
	ask_stream(&client, 1, "short", 2000);
	assert_true(slot->handed_count > 3);
	(void)world_begin(slot);
	sendq_copy(&client.out, unread, sizeof unread);
	client_wrote(&client);
	client_on_sent(&client); /* it was tried */
	core_end_event(&world.core);
	assert_int_equal(slot->handed_count, 1);
	expect_ascending(pool, TAILQ_FIRST(&pool->calls), 1);
	world_ask(&other, 1, "p.short", "[", 0);
	world_pass(&world, 0);
	assert_int_equal(slot->handed_count, 2);

	sendq_clear(&client.out);
	client_on_sent(&client);
	world_pass(&world, 0);
	assert_true(slot->handed_count > 2);
	client_gone(&client);
	client_gone(&other);
	world_close(&world);
}

/* Towards the end nobody has much more than others. */
static void the_last_items_are_not_handed_far_ahead(void **state)
{
	struct core_world world;
	struct client client;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 2, &world_settings);
	measure(&client, pool, "p:0.short", 36000);
	ask_map(&client, 1, "short", 100);
	assert_in_range(pool->slots[0]->ahead, 1, SLOT_AHEAD);
	assert_in_range(pool->slots[1]->ahead, 1, SLOT_AHEAD);
	client_gone(&client);
	world_close(&world);
}

static const struct call *last_call(const struct pool *pool)
{
	const struct call *call = TAILQ_FIRST(&pool->calls);

	while (TAILQ_NEXT(call, link))
		call = TAILQ_NEXT(call, link);
	return call;
}

/* The credit of a stream without a window of its own is so much work; only a part of it waits in the queue. */
static void the_usual_window_is_by_work(void **state)
{
	struct core_world world;
	struct client client;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 2, &world_settings);
	measure(&client, pool, "p:0.short", 40000);
	measure(&client, pool, "p:0.long", 40000000);
	world_ask_in_full(&client, 1, "p:map", "short", "n{st", 1, "stream");
	assert_int_equal(last_call(pool)->input.granted, 2 * 799);
	world_ask_in_full(&client, 2, "p:map", "long", "n{st", 1, "stream");
	assert_int_equal(last_call(pool)->input.granted, 4);
	client_gone(&client);
	world_close(&world);
}

static void one_slow_batch_changes_little(void **state)
{
	struct method method = {0};

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		method_learn(&method, 36000);
	method_learn(&method, 4000000);
	assert_in_range(method.estimate, 36000, 45000);
	method_learn(&method, 36000);
	for (unsigned i = 0; i < 10; i++)
		method_learn(&method, 4000000);
	assert_in_range(method.estimate, 2000000, 4000000);
	for (unsigned i = 0; i < 10; i++)
		method_learn(&method, 36000);
	assert_in_range(method.estimate, 36000, 80000);
}

/* ---- instances without memory ---- */

/* The worker refuses the batch that it was handed: it has no memory for it. */
static void refuse(struct slot *slot)
{
	assert_int_equal(world_say(slot, "[ii[ssnnnsn", 4, FROM_REPLY, world_begin(slot), 6, "FAILED", "no memory", "no"), 0);
}

static void who_refuses_everything_is_not_preferred(void **state)
{
	struct core_world world;
	struct client client;
	unsigned msgid = 1;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 2, &world_settings);
	struct slot *bad = pool->slots[0], *good = pool->slots[1];
	world_ask(&client, msgid++, "p:1.x", "[", 0);
	const uint32_t first = world_begin(good);
	world_ask(&client, msgid++, "p.x", "[", 0); /* nobody else is free */
	refuse(bad);
	world_ask(&client, msgid++, "p.x", "[", 0);
	assert_int_equal(bad->handed_count, 0); /* it waits for the other one */
	assert_int_equal(pool->queue.count, 1);
	world_reply(good, first, SECOND);
	assert_int_equal(pool->queue.count, 0);
	assert_int_equal(good->handed_count, 1);

	world_ask(&client, msgid++, "p:0.x", "[", 0); /* what is addressed to it goes to it */
	assert_int_equal(bad->handed_count, 1);
	refuse(bad);
	world_ask(&client, msgid++, "p.x", "[", 0);
	world_pass(&world, 199 * MILLISECOND);
	assert_int_equal(bad->handed_count, 0);
	world_pass(&world, MILLISECOND); /* then it is tried again */
	assert_int_equal(bad->handed_count, 1);
	world_reply(bad, world_begin(bad), SECOND);
	world_ask(&client, msgid++, "p.x", "[", 0);
	assert_int_equal(bad->handed_count, 1); /* and is as good as others */
	refuse(bad);

	world_ask(&client, msgid++, "p.x", "[", 0);
	assert_int_equal(bad->handed_count, 0);
	world_exit(good, SIGKILL); /* one that may refuse is better than none */
	assert_int_equal(bad->handed_count, 1);
	client_gone(&client);
	world_close(&world);
}

static void a_pool_of_which_all_refuse_answers_at_once(void **state)
{
	struct core_world world;
	struct client client;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 1, &world_settings);
	for (unsigned i = 1; i <= 20; i++) {
		world_ask(&client, i, "p.x", "[", 0);
		refuse(pool->slots[0]);
	}
	assert_int_equal(pool->counts.failures, 20);
	client_gone(&client);
	world_close(&world);
}

static void on_socket_dropped(struct block *block)
{
	(void)block;
}

/* Long direct messages run in all instances: what the daemon hands over waits where it is, and is not written again and again. */
static void what_waits_behind_direct_messages_stays(void **state)
{
	struct pool_settings settings = world_settings;
	struct block socket = {.refs = 1, .fd = -1, .drop = on_socket_dropped};
	struct core_world world;
	struct client client;

	(void)state;
	settings.max_direct = 4;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 2, &settings);
	for (unsigned i = 0; i < 2; i++) {
		struct slot *slot = pool->slots[i];
		const struct direct *direct = direct_open(&client, slot, &socket, false);
		assert_true(board_direct_begin(&slot->board->direct, direct->place, 0, false));
		slot->board->since = world.core.now;
	}
	world_pass(&world, 10 * MILLISECOND);
	world_ask(&client, 1, "p.x", "[", 0);
	struct slot *busy = pool->slots[pool->slots[0]->handed_count == 0], *other = pool->slots[busy == pool->slots[0]];
	const size_t written = busy->out.bytes + other->out.bytes;
	for (unsigned i = 0; i < 100; i++)
		world_pass(&world, MILLISECOND);
	assert_int_equal(busy->out.bytes + other->out.bytes, written);
	assert_int_equal(busy->handed_count, 1);
	board_direct_end(&other->board->direct);
	other->board->since = 0;
	world_pass(&world, 64 * MILLISECOND);
	assert_int_equal(busy->handed_count, 0);
	world_reply(other, world_begin(other), MILLISECOND);
	client_gone(&client);
	for (unsigned i = 0; i < 2; i++)
		sendq_clear(&pool->slots[i]->out);
	world_close(&world);
}

/* A worker that has not read what was taken back from it is handed nothing until it reads. */
static void who_does_not_read_is_handed_nothing(void **state)
{
	static const uint8_t bytes[SLOT_UNSENT];
	struct core_world world;
	struct client client;

	(void)state;
	world_open(&world);
	client_init(&client, &world.core);
	struct pool *pool = world_pool(&world, "p", 1, &world_settings);
	struct slot *slot = pool->slots[0];
	sendq_copy(&slot->out, bytes, sizeof bytes);
	slot_relist(slot);
	world_ask(&client, 1, "p.x", "[", 0);
	assert_int_equal(slot->handed_count, 0);
	const size_t before = slot->out.bytes;
	sendq_clear(&slot->out);
	slot_on_sent(slot, before);
	world_pass(&world, 0);
	world_reply(slot, world_begin(slot), MILLISECOND);
	client_gone(&client);
	world_close(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cancelling_frees_nothing_that_is_looked_at),
		cmocka_unit_test(a_method_that_has_committed_itself_does_not_wait_for_nobody),
		cmocka_unit_test(what_is_ahead_is_given_back),
		cmocka_unit_test(a_grace_is_for_its_call_alone),
		cmocka_unit_test(an_answer_on_its_way_gives_no_grace_to_what_runs),
		cmocka_unit_test(an_item_that_had_begun_may_not_have_run),
		cmocka_unit_test(what_is_fed_wakes_a_pool_that_is_asleep),
		cmocka_unit_test(a_worker_can_t_have_begun_more_than_it_had),
		cmocka_unit_test(the_delay_after_a_failed_constructor_doubles),
		cmocka_unit_test(who_dies_young_again_and_again_waits),
		cmocka_unit_test(start_timeout_is_the_constructor_s),
		cmocka_unit_test(each_replay_has_its_own_patience),
		cmocka_unit_test(the_calls_of_a_dropped_pool_fail_in_portions),
		cmocka_unit_test(timers_fire_in_portions),
		cmocka_unit_test(what_was_put_off_is_lost_in_portions),
		cmocka_unit_test(what_yields_is_lost_in_portions),
		cmocka_unit_test(a_worker_replays_in_portions),
		cmocka_unit_test(what_is_forgotten_meanwhile_is_not_replayed),
		cmocka_unit_test(tasks_wait_for_what_is_replayed),
		cmocka_unit_test(what_is_remembered_is_counted),
		cmocka_unit_test(a_map_that_is_alone_is_handed_far_ahead),
		cmocka_unit_test(a_call_passes_the_items_of_its_clients_stream),
		cmocka_unit_test(items_that_are_taken_back_keep_their_order),
		cmocka_unit_test(items_behind_slow_ones_keep_their_order),
		cmocka_unit_test(what_is_ahead_waits_for_a_client_that_does_not_read),
		cmocka_unit_test(the_last_items_are_not_handed_far_ahead),
		cmocka_unit_test(the_usual_window_is_by_work),
		cmocka_unit_test(one_slow_batch_changes_little),
		cmocka_unit_test(who_refuses_everything_is_not_preferred),
		cmocka_unit_test(a_pool_of_which_all_refuse_answers_at_once),
		cmocka_unit_test(what_waits_behind_direct_messages_stays),
		cmocka_unit_test(who_does_not_read_is_handed_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
