/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/direct.h"

#include "daemon/core/records/pool.h"

#include <stdio.h>

struct direct *direct_at(const struct slot *slot, uint64_t place)
{
	struct direct *direct;

	TAILQ_FOREACH(direct, &slot->directs, of_slot)
		if (direct->place == place)
			return direct;
	return NULL;
}

bool direct_has_others(const struct slot *slot, uint64_t session)
{
	const struct direct *direct;

	TAILQ_FOREACH(direct, &slot->directs, of_slot)
		if (direct->session != session)
			return true;
	return false;
}

void direct_charge(struct direct *direct, uint64_t in_worker)
{
	const uint64_t before = direct->charged;

	direct->charged = sizeof *direct + in_worker;
	account_charge(direct->account, direct->charged);
	account_credit(direct->account, before);
}

uint32_t direct_put_off(const struct slot *slot)
{
	const struct direct *direct;
	uint32_t n = 0;

	TAILQ_FOREACH(direct, &slot->directs, of_slot)
		n += atomic_load_explicit(&slot->board->direct.places[direct->place].put_off, memory_order_relaxed);
	return n;
}

/* ---- what the worker has counted ---- */

static void take_measure(struct slot *slot, struct direct_measure *from, struct span name)
{
	struct methods *methods = &slot->pool->methods;
	struct histogram runs = {.sum = atomic_exchange(&from->sum, 0),
				 .most = atomic_exchange(&from->most, 0),
				 .count = atomic_exchange(&from->calls, 0)};
	const uint64_t failures = atomic_exchange(&from->failures, 0);
	struct method *method = name.size > 0 ? methods_find(methods, name) : NULL;

	if (runs.count == 0)
		return;
	for (unsigned i = 0; i < HISTOGRAM_PLACES; i++)
		runs.places[i] = atomic_exchange(&from->places[i], 0);
	methods_add_direct(methods, method, &runs, failures);
	if (method)
		method->calls += runs.count;
	slot->calls += runs.count;
	slot->failed += failures;
	slot->tasks += runs.count;
	slot->pool->counts.calls += runs.count;
	slot->pool->counts.failures += failures;
	slot->idle_since = slot->pool->core->now;
}

/* Empty if the worker has written none. */
static struct span name_of(const struct direct_measure *measure)
{
	const size_t size = strnlen(measure->name, DIRECT_NAME);
	return (struct span){.bytes = (const uint8_t *)measure->name, .size = size == DIRECT_NAME ? 0 : size};
}

/* Messages and answers are bounded, and their buffers may be twice as large: the worker can write anything there. */
static uint64_t held_most(const struct core *core)
{
	return 4 * core->limits.max_message + 4 * (uint64_t)DIRECT_HELD_TOLD;
}

static void take_held(struct slot *slot)
{
	const uint64_t most = held_most(slot->pool->core);
	struct direct *direct;

	TAILQ_FOREACH(direct, &slot->directs, of_slot) {
		const uint64_t held = atomic_load_explicit(&slot->board->direct.places[direct->place].held, memory_order_relaxed);
		direct_charge(direct, held < most ? held : most);
	}
}

void direct_take_counts(struct slot *slot)
{
	if (!slot->counts_direct)
		return;
	take_held(slot);
	struct direct_board *board = &slot->board->direct;
	const uint32_t said = atomic_load_explicit(&board->methods, memory_order_acquire), others = DIRECT_METHODS - 1;
	const uint64_t before = slot->tasks;

	for (uint32_t i = 0; i < said && i < others; i++)
		take_measure(slot, &board->measures[i], name_of(&board->measures[i]));
	take_measure(slot, &board->measures[others], (struct span){0});
	if (slot->tasks != before && slot->pool->settings.max_calls) {
		slot_relist(slot);
		pool_wake(slot->pool);
	}
}

void direct_take_all_counts(struct core *core)
{
	struct pool *pool;
	struct slot *slot;

	TAILQ_FOREACH(pool, &core->pools, link) {
		SLOT_FOREACH(slot, pool)
			direct_take_counts(slot);
	}
}

bool direct_running(const struct slot *slot, char *name, size_t size, uint64_t *since, uint64_t *session)
{
	if (slot->directs_count == 0)
		return false;
	struct direct_board *board = &slot->board->direct;
	const uint64_t word = atomic_load(&board->word);
	*since = atomic_load(&slot->board->since);
	if (board_direct_state_in(word) == DIRECT_ENDED || *since == 0)
		return false;
	const struct direct_measure *measure = &board->measures[atomic_load(&board->method) % DIRECT_METHODS];
	snprintf(name, size, "%.*s", DIRECT_NAME - 1, measure->name);
	error_make_utf8(name, strlen(name));
	const struct direct *direct = direct_at(slot, board_direct_place_in(word));
	*session = direct ? direct->session : 0;
	return atomic_load(&board->word) >> 8 == word >> 8;
}
