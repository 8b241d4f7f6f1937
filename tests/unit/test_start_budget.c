/* SPDX-License-Identifier: Apache-2.0 */
/* How many workers a pool may start at once: all that are asked for, and of those that follow an end as many as its budget
 * allows. */
#include "daemon/core/records/pool.h"
#include "daemon/core/life/pool_life.h"
#include "daemon/core/life/sizing.h"
#include "daemon/core/life/slot_life.h"
#include "daemon/core/life/slot_state.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint32_t started; /* workers that the core has asked for */

static void on_start(struct slot *slot)
{
	if (!slot->board)
		slot->board = calloc(1, sizeof *slot->board);
	started++;
}

static void on_slot(struct slot *slot)
{
	(void)slot;
}

static void on_slot_free(struct slot *slot)
{
	free(slot->board);
}

static void on_pool(struct pool *pool)
{
	(void)pool;
}

static const struct core_ops ops = {.slot_wrote = on_slot,
				    .slot_start = on_start,
				    .slot_kill = on_slot,
				    .slot_nudge = on_slot,
				    .slot_changed = on_slot,
				    .slot_free = on_slot_free,
				    .pool_free = on_pool};

static struct pool *make_pool(struct core *core, uint32_t size)
{
	static const struct core_limits limits = {.max_message = 1 << 20};
	static const struct pool_settings settings = {.start_timeout = NEVER,
						      .stop_timeout = SECOND,
						      .max_age = NEVER,
						      .idle_timeout = NEVER,
						      .cancel_grace = NEVER,
						      .workers_min = 1,
						      .workers_max = 1};
	core_init(core, &ops, &limits);
	core->now = SECOND;
	started = 0;
	struct pool *pool = pool_new(core, "p", size, &settings, NULL);
	assert_non_null(pool);
	return pool;
}

static void end_pool(struct core *core, struct pool *pool)
{
	pool_drop(pool, ERROR_UNAVAILABLE, "the test is over");
	core_end_event(core);
	while (!TAILQ_EMPTY(&core->pools)) {
		struct slot *slot = TAILQ_FIRST(&TAILQ_FIRST(&core->pools)->detached);
		slot_on_gone(slot, 0, NULL);
		core_end_event(core);
	}
	core_free(core);
}

static void all_become_ready(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size; i++)
		if (pool->slots[i]->state == SLOT_STARTING)
			slot_on_ready(pool->slots[i]);
}

static void all_die(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size; i++)
		if (pool->slots[i]->state == SLOT_READY)
			slot_on_gone(pool->slots[i], SIGKILL, NULL);
}

/* As the clock moves; workers that are started are ready at once. */
static void pass(struct core *core, struct pool *pool, uint64_t until)
{
	while (core->now < until) {
		const uint64_t next = timers_next(&core->timers);
		core->now = next < until ? next : until;
		timers_run(&core->timers, core->now, UINT32_MAX);
		all_become_ready(pool);
	}
}

static void test_a_large_pool_starts_at_once(void **state)
{
	struct core core;
	struct pool *pool = make_pool(&core, 1000);

	(void)state;
	assert_int_equal(started, 1000);
	all_become_ready(pool);
	end_pool(&core, pool);
}

static void test_a_pool_that_grows_starts_at_once(void **state)
{
	struct core core;
	struct pool *pool = make_pool(&core, 1);

	(void)state;
	all_become_ready(pool);
	for (uint32_t round = 1; round <= 3; round++) {
		assert_int_equal(pool_resize(pool, 1000), 0);
		assert_int_equal(started, 1 + 999 * round);
		all_become_ready(pool);
		assert_int_equal(pool_resize(pool, 1), 0);
	}
	end_pool(&core, pool);
}

static void test_all_of_a_large_pool_are_there_again_at_once(void **state)
{
	struct core core;
	struct pool *pool = make_pool(&core, 1);

	(void)state;
	all_become_ready(pool);
	all_die(pool); /* the budget is looked at while the pool is small */
	all_become_ready(pool);
	assert_int_equal(pool_resize(pool, 500), 0);
	all_become_ready(pool);
	started = 0;
	all_die(pool);
	assert_int_equal(started, 499); /* but for the one that has died young twice */
	end_pool(&core, pool);
}

static void test_a_pool_whose_workers_all_die_starts_them_slowly(void **state)
{
	struct core core;
	struct pool *pool = make_pool(&core, 1000);

	(void)state;
	all_become_ready(pool);
	started = 0;
	for (int i = 0; i < 6; i++) {
		all_die(pool);
		pass(&core, pool, core.now + 200 * MILLISECOND);
	}
	assert_in_range(started, 2000, 64 + 2 * 1000 + 6 * 4); /* and 20 a second */
	end_pool(&core, pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_large_pool_starts_at_once), cmocka_unit_test(test_a_pool_that_grows_starts_at_once),
		cmocka_unit_test(test_all_of_a_large_pool_are_there_again_at_once),
		cmocka_unit_test(test_a_pool_whose_workers_all_die_starts_them_slowly)};

	return cmocka_run_group_tests_name("start budget", tests, NULL, NULL);
}
