/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/supervisor.h"

#include "daemon/core/life/pool_life.h"
#include "daemon/core/entry/probe.h"
#include "daemon/core/life/pause.h"
#include "daemon/core/life/sizing.h"
#include "daemon/core/records/slot.h"
#include "daemon/core/life/slot_life.h"
#include "tests/sim/fake.h"
#include "tests/sim/liar.h"
#include "tests/sim/player.h"
#include "tests/sim/users.h"

#include <stdlib.h>

/* ---- boards: fresh pages cost more than all else that a slot does, so they are used again ---- */

struct idle_board {
	struct idle_board *next;
	struct board board;
};

static struct idle_board *idle_boards;

static struct board *take_board(void)
{
	struct idle_board *idle = idle_boards;

	if (!idle)
		idle = calloc(1, sizeof *idle);
	else
		idle_boards = idle->next;
	return &idle->board;
}

/* Only the beginning of the ledger is ever used. */
static void give_board(struct board *board)
{
	struct idle_board *idle = container_of(board, struct idle_board, board);

	memset(board, 0, offsetof(struct board, ledger) + 4096 * sizeof *board->ledger);
	memset(&board->direct, 0, sizeof board->direct);
	idle->next = idle_boards;
	idle_boards = idle;
}

/* ---- the core's actions ---- */

/* core->trace: of what the core says only a verbose world is told; some others have the core say it all the same. */
static void on_trace(const struct pool *pool, const struct slot *slot, const char *text)
{
	const struct world *world;

	if (!pool)
		return;
	world = container_of(pool->core, const struct world, core);
	if (slot)
		world_say(world, "%s:%u: %s", pool->name, slot->index, text);
	else
		world_say(world, "%s: %s", pool->name, text);
}

static struct world *world_of(const struct core *core)
{
	return container_of(core, struct world, core);
}

static void on_client_wrote(struct client *client)
{
	(void)client; /* players read when they like */
}

static void on_slot_wrote(struct slot *slot)
{
	(void)slot;
}

static void on_slot_start(struct slot *slot)
{
	const bool was = faults_arm(false);

	if (!slot->board)
		slot->board = take_board();
	slot->board->since = 0;
	fake_new(slot);
	faults_arm(was);
	slot_on_connected(slot, 1, (struct span){0}, (struct span){0}, (struct span){0});
	world_say(world_of(slot->pool->core), "%s:%u: start, generation %llu", slot->pool->name, slot->index,
		  (unsigned long long)slot->generation);
}

static void on_slot_kill(struct slot *slot)
{
	struct fake *fake = fake_of(slot);

	if (fake)
		fake->dead = true;
}

static void on_slot_nudge(struct slot *slot)
{
	/* Another thread of a real worker sends what is finished: here it goes when the worker is looked at next. */
	const struct fake *fake = fake_of(slot);
	slot->board->nudge++;
	if (fake && !fake->stopped)
		slot->board->nudged = slot->board->nudge;
}

static void on_slot_changed(struct slot *slot)
{
	world_say(world_of(slot->pool->core), "%s:%u: %s", slot->pool->name, slot->index, slot_state_name(slot->state));
}

static void on_slot_free(struct slot *slot)
{
	if (slot->board)
		give_board(slot->board);
	if (fake_of(slot))
		world_fail(world_of(slot->pool->core), "a slot is freed that has a worker");
}

static void on_pool_free(struct pool *pool)
{
	world_say(world_of(pool->core), "pool %s freed", pool->name);
}

static const struct core_ops ops = {
	.client_wrote = on_client_wrote, .slot_wrote = on_slot_wrote,	  .slot_start = on_slot_start,
	.slot_kill = on_slot_kill,	 .slot_nudge = on_slot_nudge,	  .slot_changed = on_slot_changed,
	.slot_free = on_slot_free,	 .pool_free = on_pool_free,
};

/* ---- time and pools ---- */

void supervisor_pass_time(struct world *world)
{
	const uint64_t next = timers_next(&world->core.timers);
	const uint64_t step = (uint64_t)1 << world_dice(world, 31);

	if (world_one_in(world, 2) && next != UINT64_MAX && next > world->core.now)
		world->core.now = next;
	else
		world->core.now += step;
	faults_arm(true);
	timers_run(&world->core.timers, world->core.now, UINT32_MAX);
	faults_arm(false);
}

/* What a pool's template tells. */
static void describe(struct world *world, struct pool *pool)
{
	static const uint8_t methods[] = "\x92\x81\xa4name\xa4" "echo\x81\xa4name\xa3gen";

	pool->has_snapshot = world_one_in(world, 2);
	pool->has_leased = world_one_in(world, 2);
	pool->tells_sessions = world_one_in(world, 2);
	if (world_one_in(world, 2))
		(void)pool_set_methods(pool, (struct span){.bytes = methods, .size = sizeof methods - 1}, world_one_in(world, 2));
}

static void new_pool(struct world *world, unsigned number)
{
	const bool calm = world->flavour.calm;
	const struct pool_settings settings = {.max_queue = 40 + world_dice(world, 200),
					       .max_direct = world_dice(world, 4),
					       .max_concurrent = world_dice(world, 5),
					       .max_sticky = 1 << 20,
					       .start_timeout = NEVER,
					       .stop_timeout = calm ? NEVER : 5 * SECOND,
					       .max_calls = calm || world_one_in(world, 2) ? 0 : 1 + world_dice(world, 30),
					       .max_age = world_one_in(world, 2) ? NEVER : SECOND,
					       .workers_min = 1,
					       .workers_max = calm || world_one_in(world, 2) ? 1 : 4,
					       .idle_timeout = world_one_in(world, 2) ? NEVER : 10 * MILLISECOND,
					       .cancel_grace = calm || world_one_in(world, 2) ? NEVER : 100 * MILLISECOND};

	faults_arm(true);
	struct pool *pool = pool_new(&world->core, world_pool_name(number), 1 + world_dice(world, 4), &settings, world);
	faults_arm(false);
	if (!pool && faults_count() == 0)
		world_fail(world, "a pool can't be made");
	world->pools[number] = pool;
	world->in_hand[number] = UINT64_MAX;
	if (pool)
		describe(world, pool);
}

/* As a reload does it. */
static void change_settings(struct world *world, struct pool *pool)
{
	struct pool_settings settings = pool->settings;

	settings.max_calls = world_one_in(world, 2) ? 0 : 1 + world_dice(world, 30);
	settings.max_age = world_one_in(world, 2) ? NEVER : (1 + world_dice(world, 2000)) * MILLISECOND;
	pool_set(pool, &settings);
}

void supervisor_resize(struct world *world)
{
	struct pool *pool = world->pools[world_dice(world, WORLD_POOLS)];

	if (!pool || world->flavour.calm)
		return;
	struct slot *slot = pool->size > 0 ? pool->slots[world_dice(world, pool->size)] : NULL;
	faults_arm(true);
	if (slot && !slot->leased && world_dice(world, 3)) /* pending_admin.c waits for the lease's end */
		(void)slot_restart(slot, "restart");
	else if (world_one_in(world, 3))
		change_settings(world, pool);
	else if (pool_resize(pool, world_dice(world, 6)) < 0 && faults_count() == 0)
		world_fail(world, "a pool can't be resized");
	faults_arm(false);
}

void supervisor_replace_pool(struct world *world)
{
	const unsigned number = world_dice(world, WORLD_POOLS);

	if (world_dice(world, 4) || world->flavour.calm || world->core.draining)
		return;
	const bool at_once = world_one_in(world, 2);
	world_say(world, "pool %s is %s, and made anew", world_pool_name(number), at_once ? "dropped" : "left");
	faults_arm(true);
	if (world->pools[number] && at_once && world_one_in(world, 2))
		pool_set_stop_timeout(world->pools[number], world_dice(world, 1000) * MILLISECOND);
	if (world->pools[number] && at_once)
		pool_drop(world->pools[number], ERROR_CANCELLED, "the pool was dropped");
	else if (world->pools[number])
		pool_leave(world->pools[number]);
	faults_arm(false);
	new_pool(world, number);
}

void supervisor_pause(struct world *world)
{
	struct pool *pool = world->pools[world_dice(world, WORLD_POOLS)];

	if (!pool || world->core.draining)
		return;
	world_say(world, "pool %s %s", pool->name, pool->paused ? "resumes" : "is paused");
	faults_arm(true);
	if (pool->paused)
		pool_resume(pool);
	else
		pool_pause(pool);
	faults_arm(false);
}

/* As SIGTERM does. */
void supervisor_begin_drain(struct world *world)
{
	if (!world->flavour.drains || world->core.draining)
		return;
	world_say(world, "the daemon is asked to stop");
	faults_arm(true);
	pool_drain_all(&world->core);
	faults_arm(false);
}

/* ---- probes ---- */

static void end_probe(struct world *world)
{
	char reason[256];

	if (!probe_succeeded(world->probe, reason, sizeof reason))
		world_say(world, "the probe says: %s", reason);
	probe_end(world->probe);
	free(world->probe);
	world->probe = NULL;
}

void supervisor_probe(struct world *world)
{
	struct pool *pool = world->pools[world_dice(world, WORLD_POOLS)];

	if (world->probe && probe_is_answered(world->probe)) {
		end_probe(world);
	} else if (!world->probe && pool) {
		world->probe = calloc(1, sizeof *world->probe);
		faults_arm(true);
		probe_begin(world->probe, pool, world->core.now + SECOND);
		faults_arm(false);
	}
}

/* ---- a world's life ---- */

static void choose_flavour(struct world *world)
{
	world->flavour = (struct flavour){.memory = world_one_in(world, 4),
					  .liars = world_one_in(world, 4),
					  .files = world_one_in(world, 3),
					  .large = world_one_in(world, 8),
					  .calm = world_one_in(world, 6),
					  .drains = world_one_in(world, 4),
					  .bounded = world_one_in(world, 8)};
	world->flavour.cramped = world_one_in(world, 3);
	if (world->flavour.calm)
		world->flavour.cramped = world->flavour.liars = world->flavour.memory = world->flavour.bounded = false;
	world->flavour.users = world_one_in(world, 3);
	world->flavour.urgent = world_one_in(world, 4);
	const uint32_t odds = 30u << world_dice(world, 9);
	faults_begin(world->seed, world->flavour.memory ? odds : 0, world->verbose);
	world_say(world, "flavour:%s%s%s%s%s%s%s%s%s%s", world->flavour.users ? " users" : "",
		  world->flavour.cramped ? " cramped" : "", world->flavour.memory ? " memory" : "",
		  world->flavour.liars ? " liars" : "", world->flavour.files ? " files" : "",
		  world->flavour.large ? " large" : "", world->flavour.calm ? " calm" : "",
		  world->flavour.drains ? " drains" : "", world->flavour.bounded ? " bounded" : "",
		  world->flavour.urgent ? " urgent" : "");
}

/* Neighbours begin far from each other (splitmix64). */
static uint64_t mix(uint64_t seed)
{
	uint64_t z = seed * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

struct world *supervisor_begin(uint64_t seed, bool verbose)
{
	struct world *world = calloc(1, sizeof *world);

	world->seed = seed;
	world->state = mix(seed);
	world->verbose = verbose;
	world->lie = liar_lie;
	choose_flavour(world);
	const struct core_limits limits = {.max_message = 1 << 20,
					   .max_inflight = 200,
					   .max_pending = 1 << 20,
					   .max_unsent = 4096,
					   .max_memory = world->flavour.bounded ? 20000u << world_dice(world, 5) : 0,
					   .payload_min = world->flavour.files ? VALUE_MIN : 0};
	core_init(&world->core, &ops, &limits);
	world->core.now = SECOND;
	world->core.trace = verbose || seed % 4 == 0 ? on_trace : NULL;
	if (world_one_in(world, 2))
		world->core.spare_count =
			CALL_SPARE; /* no call is kept to be used again: the sanitizer sees who uses one that has ended */
	users_begin(world);
	for (unsigned i = 0; i < WORLD_POOLS; i++)
		new_pool(world, i);
	return world;
}

void supervisor_calm_down(struct world *world)
{
	faults_end();
	world->flavour.liars = world->flavour.cramped = false;
	for (unsigned i = 0; i < WORLD_POOLS; i++)
		if (world->pools[i])
			pool_resume(world->pools[i]);
		else
			new_pool(world, i);
}

static void go_on(struct world *world, int i)
{
	fake_work(world);
	if (i % 50 == 0) {
		supervisor_pass_time(world);
		player_go_on_all(world);
		player_mind(world);
	}
	core_end_event(&world->core);
}

static bool has_calls(const struct world *world)
{
	const struct pool *pool;

	TAILQ_FOREACH(pool, &world->core.pools, link)
		if (pool->calls_count > 0 || pool->leaving)
			return true;
	return false;
}

bool supervisor_settle(struct world *world)
{
	for (int i = 0; i < 200000 && has_calls(world); i++)
		go_on(world, i);
	return !has_calls(world);
}

/* A notification that was taken in is carried out, whatever its sender does next; where nothing dies and nothing is changed. */
static void check_promises(const struct world *world)
{
	for (uint32_t i = 0; i < world->promise_count; i++) {
		const struct promise *promise = &world->promises[i];
		for (uint32_t k = 0; k < promise->tokens; k++)
			if (world->tokens[promise->token + k].ran != promise->times)
				world_fail(world, "a notification has run %u times, and not %u: token %u",
					   world->tokens[promise->token + k].ran, promise->times, promise->token + k);
	}
}

void supervisor_end(struct world *world)
{
	if (world->probe && !probe_is_answered(world->probe))
		world_fail(world, "a probe is not answered");
	if (world->probe)
		end_probe(world);
	check_promises(world);
	for (unsigned i = 0; i < WORLD_POOLS; i++)
		pool_leave(world->pools[i]);
	for (int i = 0; i < 200000 && !TAILQ_EMPTY(&world->core.pools); i++)
		go_on(world, i);
	if (!TAILQ_EMPTY(&world->core.pools) || world->fakes)
		world_fail(world, "a pool that leaves does not end");
	if (world->core.timers.count > 0 || world->core.timers.open > 0)
		world_fail(world, "a timer is left");
	files_free(world);
	if (world->core.memory.used > 0)
		world_fail(world, "memory is counted that nobody holds");
	users_end(world);
	core_free(&world->core);
	free(world->promises);
	free(world->tokens);
	free(world);
}
