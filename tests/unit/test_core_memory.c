/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core without memory: a pool is made, called in every way, resized, restarted and dropped, again and again, and each time
 * another allocation fails, until none does. Every request has an answer, every slot comes back, and nothing is left.
 */
#include "tests/unit/core_world.h"
#include "tests/unit/failing.h"

#include "daemon/core/calls/lease.h"

static struct failing plan;

/* ---- workers that do as they are told, and have room for all that they say ---- */

static void answer(struct slot *slot, const struct batch *batch)
{
	const uint32_t id = batch->id;

	(void)board_move(slot->board, id, BOARD_HANDED, BOARD_STARTED);
	atomic_store(&board_entry(slot->board, id)->items, board_items(id, batch->count, batch->count));
	if (batch->call->columns > 0 && span_is(batch->call->name, "put_off")) {
		for (uint32_t i = batch->done, first = (uint32_t)batch->first, n = batch->count; i < n && !slot->killed; i++) {
			const unsigned tag = (unsigned)slot->generation * 1000 + id * 10 + i + 1;
			ledger_open(slot->board, tag);
			(void)world_say(slot, "[iiii", 4, FROM_DEFERRED, id, first + i, tag);
		}
	} else if (batch->call->columns > 0) {
		for (uint32_t i = batch->done, first = (uint32_t)batch->first, n = batch->count; i < n; i++)
			(void)world_say(slot, "[iii[n", 4, FROM_RESULTS, id, first + i, 1);
	} else if (span_is(batch->call->name, "put_off") && batch->count == 1 && slot->tasks < 1000) {
		const uint64_t tag = slot->generation * 100 + id + 1;
		ledger_open(slot->board, tag);
		(void)world_say(slot, "[iiii", 4, FROM_DEFERRED, id, (unsigned)batch->first, (unsigned)tag);
	} else if (span_is(batch->call->name, "nest")) {
		(void)world_say(slot, "[iis[", 4, FROM_INVOKE, id, "q.plain", 0);
		if (slot->by_id[id % BOARD_ENTRIES] == batch)
			(void)world_say(slot, "[iinn", 4, FROM_REPLY, id);
	} else {
		(void)world_say(slot, "[iinn", 4, FROM_REPLY, id);
	}
}

/* Answers what it has put off, the first of them. */
static bool answer_late(struct slot *slot)
{
	const struct batch *batch = TAILQ_FIRST(&slot->deferred);

	if (!batch || !ledger_move(slot->board, batch->tag, LEDGER_DEFERRED, LEDGER_ANSWERED))
		return false;
	(void)world_say(slot, "[iinn", 4, FROM_ANSWER, (unsigned)batch->tag);
	return true;
}

/* What goes to a worker is whole messages. */
static void check_whole(const struct sendq *queue)
{
	static uint8_t bytes[1 << 20];
	struct iovec iov[64];
	size_t size = 0, used = 0;

	for (int i = 0, n = sendq_iov(queue, iov, 64); i < n; i++) {
		memcpy(bytes + size, iov[i].iov_base, iov[i].iov_len);
		size += iov[i].iov_len;
	}
	assert_int_equal(size, queue->bytes);
	while (used < size) {
		const int64_t n = scan_length(bytes + used, size - used);
		assert_true(n > 0);
		used += (size_t)n;
	}
}

/* As the supervisor does after each turn. */
static void send(struct slot *slot)
{
	if (slot->out.failed && !slot->killed)
		slot_kill(slot, "the daemon is out of memory");
	if (!slot->out.failed)
		check_whole(&slot->out);
	sendq_clear(&slot->out);
}

/* Does the slot's worker do anything? */
static bool work(struct slot *slot)
{
	send(slot);
	switch (slot->state) {
	case SLOT_STARTING:
		if (slot->killed) {
			world_exit(slot, SIGKILL);
		} else {
			if (!slot->told_start)
				slot_on_connected(slot, 1, (struct span){0}, (struct span){0}, (struct span){0});
			if (slot->replay.ahead > 0)
				(void)world_say(slot, "[is", 2, FROM_REPLAYING, "plain");
			else
				(void)world_say(slot, "[i", 1, FROM_READY);
		}
		return true;
	case SLOT_READY:
		if (slot->killed)
			world_exit(slot, SIGKILL);
		else if (slot->leased && slot->leases_asked > 0)
			(void)world_say(slot, "[i", 1, FROM_LEASED);
		else if (slot->replay.ahead > 0)
			(void)world_say(slot, "[is", 2, FROM_REPLAYING, "plain");
		else if (slot->replay.restoring)
			(void)world_say(slot, "[i", 1, FROM_RESTORED);
		else if (slot->handed_count > 0)
			answer(slot, TAILQ_FIRST(&slot->handed));
		else
			return answer_late(slot);
		return true;
	case SLOT_STOPPING:
		if (slot->successor && !slot->killed)
			(void)world_say(slot, "[ii", 2, FROM_STATE, 7);
		world_exit(slot, 0);
		return true;
	case SLOT_WAITING:
	case SLOT_GONE:
		return false;
	}
	return false;
}

static bool work_in(struct pool *pool)
{
	struct slot *slot;

	SLOT_FOREACH(slot, pool)
		if (work(slot))
			return true;
	return false;
}

/* Until nobody has anything to do, with time for whoever waits for it. */
static void settle(struct core_world *world)
{
	struct pool *pool;
	bool busy;

	for (int quiet = 0, n = 0; quiet < 40; quiet++) {
		do {
			assert_true(n++ < 5000); /* else they go round in circles */
			busy = false;
			TAILQ_FOREACH(pool, &world->core.pools, link)
				if (work_in(pool)) {
					busy = true;
					break; /* pools may have gone */
				}
		} while (busy);
		world_pass(world, SECOND);
	}
}

/* ---- what happens ---- */

struct scene {
	struct core_world world;
	struct client client;
	unsigned asked, refused;
};

static void ask(struct scene *scene, const char *method, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	scene->asked++;
	if (world_try(&scene->client, scene->asked, method, format, values) < 0)
		scene->refused++; /* its session would be closed */
	va_end(values);
}

static void call_in_every_way(struct scene *scene)
{
	ask(scene, "p.plain", "[i", 1, 5);
	ask(scene, "p:0.plain", "[", 0);
	ask(scene, "p:all.plain", "[", 0);
	ask(scene, "p:map.plain", "[[iiiiii", 1, 6, 1, 2, 3, 4, 5, 6);
	ask(scene, "p.put_off", "[", 0);
	ask(scene, "p:all.put_off", "[", 0);
	ask(scene, "p.nest", "[", 0);
	ask(scene, "objpool.call", "[ss[{si", 4, "p", "plain", 0, 1, "timeout_ms", 60000);
	ask(scene, "objpool.call", "[ss[[ii{sis[i", 4, "p:map", "plain", 1, 2, 1, 2, 2, "chunk", 1, "bind", 1, 9);
	ask(scene, "objpool.call", "[ss[[iii{st", 4, "p:map", "plain", 1, 3, 1, 2, 3, 1, "stream");
	ask(scene, "objpool.call", "[ss[[iii{st", 4, "p:map", "plain", 1, 3, 1, 2, 3, 1, "sync");
	ask(scene, "objpool.call", "[ss[{ss", 4, "p:all", "plain", 0, 1, "sticky", "append");
}

static void lease(struct scene *scene, struct pool *pool)
{
	const struct rpc rpc = {.type = RPC_REQUEST, .msgid = ++scene->asked};
	const struct lease_options options = {.slot = -1, .patience = SECOND, .time = SECOND};

	if (lease_begin(&scene->client, &rpc, pool, &options) < 0)
		scene->refused++;
	core_end_event(&scene->world.core);
}

/* Each kind alone: nothing else that happens helps it on. */
static void map_alone(struct scene *scene)
{
	ask(scene, "objpool.call", "[ss[[iiii{si", 4, "p:map", "plain", 1, 4, 1, 2, 3, 4, 1, "chunk", 1);
}

static void put_off_alone(struct scene *scene)
{
	ask(scene, "objpool.call", "[ss[[iiii{si", 4, "p:map", "put_off", 1, 4, 1, 2, 3, 4, 1, "chunk", 4);
}

static void nest_alone(struct scene *scene)
{
	ask(scene, "p.nest", "[", 0);
}

static void sticky_alone(struct scene *scene)
{
	ask(scene, "objpool.call", "[ss[{ss", 4, "p:all", "plain", 0, 1, "sticky", "append");
}

static void stream_alone(struct scene *scene)
{
	ask(scene, "objpool.call", "[ss[[iiii{stsi", 4, "p:map", "plain", 1, 4, 1, 2, 3, 4, 2, "stream", "chunk", 2);
}

/* Everything that a pool goes through. */
static void play(struct scene *scene)
{
	struct core_world *world = &scene->world;
	struct pool_settings settings = world_settings;

	settings.max_calls = 50;
	struct pool *p = pool_new(&world->core, "p", 2, &settings, NULL), *q = pool_new(&world->core, "q", 1, &settings, NULL);
	core_end_event(&world->core);
	if (!p || !q)
		return;
	p->has_snapshot = p->has_leased = p->tells_sessions = true;
	settle(world);
	call_in_every_way(scene);
	(void)pool_resize(p, 3);
	call_in_every_way(scene);
	slot_kill(p->slots[0], "the test wants it");
	settle(world);
	lease(scene, p);
	lease(scene, p);
	(void)slot_restart(p->slots[0], "restart");
	call_in_every_way(scene);
	settle(world);
	(void)pool_resize(p, 1);
	settle(world);
}

static void check_all_is_well(struct scene *scene)
{
	struct pool *pool;

	assert_true(TAILQ_EMPTY(&scene->client.tickets)); /* every request is answered */
	TAILQ_FOREACH(pool, &scene->world.core.pools, link) {
		assert_int_equal(pool->calls_count, 0);
		assert_int_equal(pool->waiting, 0);
		for (uint32_t i = 0; i < pool->size; i++) {
			assert_int_equal(pool->slots[i]->state, SLOT_READY);
			assert_int_equal(pool->slots[i]->ahead, 0);
		}
	}
}

static bool says(const struct client *client, const char *text)
{
	struct iovec iov[64];

	for (int i = 0, n = sendq_iov(&client->out, iov, 64); i < n; i++)
		if (memmem(iov[i].iov_base, iov[i].iov_len, text, strlen(text)))
			return true;
	return false;
}

/* True: an allocation has failed. */
static bool play_one(void (*one)(struct scene *), int n)
{
	static struct scene scene;

	scene = (struct scene){0};
	world_open(&scene.world);
	client_init(&scene.client, &scene.world.core);
	struct pool *p = world_pool(&scene.world, "p", 2, &world_settings);
	(void)world_pool(&scene.world, "q", 1, &world_settings);
	p->tells_sessions = true;
	failing_begin(&plan, n, false);
	one(&scene);
	settle(&scene.world);
	const bool failed = failing_end(&plan);
	check_all_is_well(&scene);
	assert_true(idmap_get(&p->sessions, scene.client.id) || scene.refused ||
		    says(&scene.client, "OVERLOADED")); /* or its end would not be told */
	client_gone(&scene.client);
	world_close(&scene.world);
	return failed;
}

static void any_kind_is_answered_though_nothing_else_happens(void **state)
{
	static void (*const kinds[])(struct scene *) = {map_alone, put_off_alone, nest_alone, sticky_alone, stream_alone};

	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		for (int n = 0; play_one(kinds[i], n); n++)
			;
}

/* True: an allocation has failed. */
static bool play_once(int n, bool lasting)
{
	static struct scene scene;

	scene = (struct scene){0};
	world_open(&scene.world);
	client_init(&scene.client, &scene.world.core);
	failing_begin(&plan, n, lasting);
	play(&scene);
	const bool failed = failing_end(&plan);
	settle(&scene.world);
	check_all_is_well(&scene);
	client_gone(&scene.client);
	world_close(&scene.world);
	return failed;
}

static void any_allocation_may_fail(void **state)
{
	(void)state;
	for (int n = 0; play_once(n, false); n++)
		;
}

static void all_further_ones_may_fail(void **state)
{
	(void)state;
	for (int n = 0; play_once(n, true); n++)
		;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_kind_is_answered_though_nothing_else_happens),
		cmocka_unit_test(any_allocation_may_fail),
		cmocka_unit_test(all_further_ones_may_fail),
	};
	failing = &plan;
	atomic_store(&plan.left, -1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
