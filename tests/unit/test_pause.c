/* SPDX-License-Identifier: Apache-2.0 */
/* A pool that is paused, event by event: what waits, what goes on, and when nothing runs. */
#include "daemon/core/calls/direct_life.h"
#include "daemon/core/calls/lease.h"
#include "daemon/core/life/pause.h"
#include "tests/unit/core_world.h"

struct scene {
	struct core_world world;
	struct client client, other;
	struct pool *p, *q;
	unsigned changes; /* how often the core has said that a slot has changed */
};

static void note_change(struct slot *slot)
{
	((struct scene *)slot->pool->core)->changes++;
}

/* Two pools of one slot. */
static void open_scene(struct scene *scene)
{
	static struct core_ops ops;

	*scene = (struct scene){0};
	world_open(&scene->world);
	ops = *scene->world.core.ops;
	ops.slot_changed = note_change;
	scene->world.core.ops = &ops;
	client_init(&scene->client, &scene->world.core);
	client_init(&scene->other, &scene->world.core);
	scene->p = world_pool(&scene->world, "p", 1, &world_settings);
	scene->q = world_pool(&scene->world, "q", 1, &world_settings);
}

static void close_scene(struct scene *scene)
{
	client_gone(&scene->client);
	client_gone(&scene->other);
	world_close(&scene->world);
}

/* The pool's timers that are due: it has been woken. */
static void go_on(struct scene *scene)
{
	core_end_event(&scene->world.core);
	world_pass(&scene->world, 1);
}

static void pause_pool(struct scene *scene, struct pool *pool)
{
	pool_pause(pool);
	go_on(scene);
	scene->changes = 0;
}

static bool is_open(const struct client *client, uint32_t msgid)
{
	return idmap_get(&client->inflight, msgid);
}

static void what_comes_waits(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene);
	const struct slot *slot = scene.p->slots[0];
	pause_pool(&scene, scene.p);
	world_ask(&scene.client, 1, "p.x", "[", 0);
	world_ask(&scene.client, 2, "p:0.x", "[", 0);
	world_ask(&scene.client, 3, "p:all.x", "[", 0);
	world_ask(&scene.other, 1, "q.x", "[", 0);
	go_on(&scene);
	assert_int_equal(slot->handed_count, 0);
	assert_int_equal(scene.p->waiting, 3);
	assert_int_equal(scene.q->slots[0]->handed_count, 1); /* another pool goes on */
	pool_resume(scene.p);
	go_on(&scene);
	for (unsigned i = 0; i < 3; i++)
		world_reply(scene.p->slots[0], world_begin(scene.p->slots[0]), 1000);
	assert_int_equal(scene.client.inflight.count, 0);
	close_scene(&scene);
}

static void what_has_not_begun_is_taken_back(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene);
	struct slot *slot = scene.p->slots[0];
	world_ask(&scene.client, 1, "p.x", "[", 0); /* now it is known to be short: several are handed at once */
	world_reply(slot, world_begin(slot), 1000);
	for (unsigned i = 1; i <= 3; i++)
		world_ask(&scene.client, i, "p.x", "[", 0);
	assert_int_equal(slot->handed_count, 3);
	const uint32_t first = world_begin(slot);
	pause_pool(&scene, scene.p);
	assert_int_equal(slot->handed_count, 1);
	assert_false(pool_rests(scene.p));
	world_reply(slot, first, 1000);
	assert_true(pool_rests(scene.p));
	assert_true(scene.changes > 0); /* who waits for that is told */
	assert_true(!is_open(&scene.client, 1) && is_open(&scene.client, 2) && is_open(&scene.client, 3));
	pool_resume(scene.p);
	go_on(&scene);
	world_reply(slot, world_begin(slot), 1000);
	assert_false(is_open(&scene.client, 2)); /* they have kept their order */
	world_reply(slot, world_begin(slot), 1000);
	close_scene(&scene);
}

static void deadlines_and_cancels_hold(void **state)
{
	struct scene scene;
	struct error why;

	(void)state;
	open_scene(&scene);
	pause_pool(&scene, scene.p);
	world_ask_in_full(&scene.client, 1, "p", "x", "[{si", 0, 1, "timeout_ms", 5);
	world_ask(&scene.client, 2, "p.x", "[", 0);
	world_ask(&scene.other, 1, "p.x", "[", 0);
	world_pass(&scene.world, 6 * MILLISECOND);
	assert_false(is_open(&scene.client, 1));
	error_say(&why, ERROR_CANCELLED, RAN_NO, "cancelled");
	struct ticket *ticket = idmap_get(&scene.client.inflight, 2);
	ticket->abandoned(ticket, &why);
	core_end_event(&scene.world.core);
	assert_int_equal(scene.p->waiting, 1);
	client_hang_up(&scene.other);
	core_end_event(&scene.world.core);
	assert_int_equal(scene.p->waiting, 0);
	close_scene(&scene);
}

/* A method of p calls q, whose method calls back into p: it could not end otherwise. */
static void what_runs_gets_its_nested_calls(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene);
	assert_int_equal(pool_resize(scene.p, 2), 0);
	world_ready(scene.p->slots[1]);
	world_ask(&scene.other, 1, "p:1.x", "[", 0);
	const uint32_t busy = world_begin(scene.p->slots[1]);
	world_ask(&scene.client, 1, "p:0.x", "[", 0);
	const uint32_t outer = world_begin(scene.p->slots[0]);
	pause_pool(&scene, scene.p);
	world_ask(&scene.other, 2, "p.x", "[", 0);
	assert_int_equal(world_say(scene.p->slots[0], "[iis[", 4, FROM_INVOKE, outer, "q.x", 0), 0);
	const uint32_t middle = world_begin(scene.q->slots[0]);
	assert_int_equal(world_say(scene.q->slots[0], "[iis[", 4, FROM_INVOKE, middle, "p.x", 0), 0);
	world_reply(scene.p->slots[1], busy, 1000);
	go_on(&scene);
	assert_int_equal(scene.p->slots[1]->handed_count, 1);
	world_reply(scene.p->slots[1], world_begin(scene.p->slots[1]), 1000);
	world_reply(scene.q->slots[0], middle, 1000);
	world_reply(scene.p->slots[0], outer, 1000);
	assert_false(is_open(&scene.client, 1));
	assert_true(is_open(&scene.other, 2)); /* it came before, and from outside */
	assert_true(pool_rests(scene.p));
	pool_resume(scene.p);
	go_on(&scene);
	assert_int_equal(scene.p->slots[0]->handed_count + scene.p->slots[1]->handed_count, 1);
	close_scene(&scene);
}

static void nested_calls_from_outside_wait(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene);
	pause_pool(&scene, scene.p);
	world_ask(&scene.client, 1, "q.x", "[", 0);
	const uint32_t outer = world_begin(scene.q->slots[0]);
	assert_int_equal(world_say(scene.q->slots[0], "[iis[", 4, FROM_INVOKE, outer, "p.x", 0), 0);
	go_on(&scene);
	assert_int_equal(scene.p->waiting, 1);
	assert_true(pool_rests(scene.p));
	close_scene(&scene);
}

static void begin_lease(struct client *client, uint32_t msgid, struct pool *pool)
{
	const struct lease_options options = {.slot = -1};
	const struct rpc rpc = {.type = RPC_REQUEST, .msgid = msgid};

	assert_int_equal(lease_begin(client, &rpc, pool, &options), 0);
	core_end_event(client->core);
}

static void leases_wait(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene);
	pause_pool(&scene, scene.p);
	begin_lease(&scene.client, 1, scene.p);
	go_on(&scene);
	assert_true(is_open(&scene.client, 1));
	pool_resume(scene.p);
	go_on(&scene);
	assert_false(is_open(&scene.client, 1));
	pause_pool(&scene, scene.p); /* who holds a lease waits as well */
	world_ask(&scene.client, 2, "p:0.x", "[", 0);
	assert_int_equal(scene.p->slots[0]->handed_count, 0);
	pool_resume(scene.p);
	go_on(&scene);
	assert_int_equal(scene.p->slots[0]->handed_count, 1);
	close_scene(&scene);
}

static void direct_channels_are_refused(void **state)
{
	struct pool_settings settings = world_settings;
	struct scene scene;
	struct error error;

	(void)state;
	open_scene(&scene);
	settings.max_direct = 4;
	pool_set(scene.p, &settings);
	assert_non_null(direct_slot_for(scene.p, -1, &scene.client, &error));
	pause_pool(&scene, scene.p);
	assert_null(direct_slot_for(scene.p, -1, &scene.client, &error));
	assert_int_equal(error.code, ERROR_UNAVAILABLE);
	pool_resume(scene.p);
	assert_non_null(direct_slot_for(scene.p, -1, &scene.client, &error));
	close_scene(&scene);
}

static void the_size_stays(void **state)
{
	struct pool_settings settings = world_settings;
	struct scene scene;

	(void)state;
	open_scene(&scene);
	settings.workers_min = 1;
	settings.workers_max = 4;
	settings.idle_timeout = 50 * MILLISECOND;
	pool_set(scene.p, &settings);
	pause_pool(&scene, scene.p);
	world_ask(&scene.client, 1, "p.x", "[", 0);
	for (unsigned i = 0; i < 20; i++)
		world_pass(&scene.world, 10 * MILLISECOND);
	assert_int_equal(scene.p->size, 1);
	world_ask(&scene.client, 2, "p.x", "[", 0);
	pool_resume(scene.p);
	for (unsigned i = 0; i < 5; i++)
		world_pass(&scene.world, 10 * MILLISECOND);
	assert_true(scene.p->size > 1); /* the second call has waited for long enough since */
	close_scene(&scene);
}

static void what_leaves_carries_out_what_waits(void **state)
{
	struct scene scene;

	(void)state;
	open_scene(&scene);
	pause_pool(&scene, scene.p);
	pause_pool(&scene, scene.q);
	world_ask(&scene.client, 1, "p.x", "[", 0);
	world_ask(&scene.client, 2, "q.x", "[", 0);
	pool_leave(scene.p);
	go_on(&scene);
	assert_int_equal(scene.p->slots[0]->handed_count, 1);
	assert_int_equal(scene.q->slots[0]->handed_count, 0);
	pool_drain_all(&scene.world.core);
	go_on(&scene);
	assert_int_equal(scene.q->slots[0]->handed_count, 1);
	close_scene(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_waits),
		cmocka_unit_test(what_has_not_begun_is_taken_back),
		cmocka_unit_test(deadlines_and_cancels_hold),
		cmocka_unit_test(what_runs_gets_its_nested_calls),
		cmocka_unit_test(nested_calls_from_outside_wait),
		cmocka_unit_test(leases_wait),
		cmocka_unit_test(direct_channels_are_refused),
		cmocka_unit_test(the_size_stays),
		cmocka_unit_test(what_leaves_carries_out_what_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
