/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/life/sizing.h"

#include "daemon/core/calls/direct.h"
#include "daemon/core/calls/lease_end.h"
#include "daemon/core/life/lost.h"
#include "daemon/core/calls/nested.h"
#include "daemon/core/records/slot.h"
#include "daemon/core/life/slot_life.h"
#include "daemon/core/life/slot_state.h"

#include <errno.h>
#include <stdlib.h>

#define SHRINK_LOOK_MIN (10 * MILLISECOND)

bool sizing_is_adaptive(const struct pool *pool)
{
	return pool->settings.workers_max > pool->settings.workers_min;
}

void sizing_fit(struct pool_settings *settings, uint32_t size)
{
	const bool adaptive = settings->workers_max > settings->workers_min;

	if (settings->workers_min > size || !adaptive)
		settings->workers_min = size;
	if (settings->workers_max < size || !adaptive)
		settings->workers_max = size;
}

/* ---- slots ---- */

/* Deletes the slots from pool->size up to `size`, whose workers have not been started. */
static void delete_slots(struct pool *pool, uint32_t size)
{
	while (size > pool->size)
		slot_delete(pool->slots[--size]);
}

/* Makes slots from pool->size up to `size`. Their workers are not started yet. 0; or -ENOMEM: none has been made. */
static int make_slots(struct pool *pool, uint32_t size)
{
	struct slot **slots = realloc(pool->slots, (size + 1) * sizeof *slots);

	if (!slots)
		return -ENOMEM;
	pool->slots = slots;
	for (uint32_t i = pool->size; i < size; i++)
		if (!(slots[i] = slot_new(pool, i))) {
			delete_slots(pool, i);
			return -ENOMEM;
		}
	return 0;
}

static void begin_slots(struct pool *pool, uint32_t size)
{
	while (pool->size < size)
		slot_start(pool->slots[pool->size++]);
}

int pool_resize(struct pool *pool, uint32_t size)
{
	const bool shrinks = pool->size > size;

	core_trace(pool->core, pool, NULL, "from %u to %u workers", pool->size, size);
	while (pool->size > size)
		slot_leave(pool->slots[--pool->size]); /* it is not found by its number any more, and finishes its tasks */
	if (shrinks) {
		lease_on_shrunk(pool);
		nested_on_shrunk(pool);
		lost_by_unavailable(pool);
		lease_on_broken(pool);
	}
	pool->core->epoch++;
	const int r = size > pool->size ? make_slots(pool, size) : 0;
	if (r == 0)
		begin_slots(pool, size);
	sizing_on_resized(pool);
	if (pool->size == 0)
		pool_wake_later(pool);
	return r;
}

static void set_timer(struct pool *pool, struct timer *timer, uint64_t after)
{
	if (!timer_is_set(timer))
		timer_set(&pool->core->timers, timer, pool->core->now + after);
}

/* ---- up ---- */

static bool is_starting(const struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size; i++)
		if (pool->slots[i]->state == SLOT_STARTING || pool->slots[i]->state == SLOT_WAITING)
			return true;
	return false;
}

/* Grows the pool by half of its size. So a burst is met in a few steps, and a single late call by one worker. */
static void on_grow(struct timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, sizing.grow);
	const uint32_t most = pool->settings.workers_max, step = pool->size / 2 + 1;

	if (pool->leaving || pool->paused || pool_shared_count(pool) == 0 || pool->size >= most)
		return;
	core_trace(pool->core, pool, NULL, "%u batches wait: %s", pool_shared_count(pool),
		   is_starting(pool) ? "instances are being started" : "the pool grows");
	if (!is_starting(pool))
		(void)pool_resize(pool, pool->size + step < most ? pool->size + step : most);
	set_timer(pool, timer, POOL_GROW_AFTER);
}

int sizing_on_call(struct pool *pool)
{
	return pool->size > 0 ? 0 : pool_resize(pool, 1);
}

void sizing_on_waiting(struct pool *pool)
{
	if (pool->size == 0 && (pool_shared_count(pool) > 0 || pool->leases_waiting > 0) && pool_resize(pool, 1) < 0)
		pool_wake_later(pool);
}

/* ---- down ---- */

static bool is_idle(const struct slot *slot, uint64_t now)
{
	return slot->state == SLOT_READY && slot->handed_count == 0 && slot->queue.count == 0 && TAILQ_EMPTY(&slot->deferred) &&
	       !slot->leased && !direct_is_busy(slot) && direct_put_off(slot) == 0 &&
	       now - slot->idle_since >= slot->pool->settings.idle_timeout;
}

static bool may_go(const struct slot *slot)
{
	return TAILQ_EMPTY(&slot->deferred) && !slot->leased;
}

/* Removes as many slots as are idle, from the end. A slot there that has tasks finishes them first. */
static uint32_t size_wanted(const struct pool *pool)
{
	uint32_t idle = 0, size = pool->size;

	for (uint32_t i = 0; i < pool->size; i++)
		direct_take_counts(pool->slots[i]); /* sets idle_since */
	for (uint32_t i = 0; i < pool->size; i++)
		idle += is_idle(pool->slots[i], pool->core->now);
	while (idle > 0 && size > pool->settings.workers_min && may_go(pool->slots[size - 1])) {
		size--;
		idle--;
	}
	return size;
}

static void watch(struct pool *pool)
{
	const uint64_t every = pool->settings.idle_timeout / 4;

	if (pool->settings.idle_timeout != NEVER && pool->size > pool->settings.workers_min)
		set_timer(pool, &pool->sizing.shrink, every > SHRINK_LOOK_MIN ? every : SHRINK_LOOK_MIN);
}

static void on_shrink(struct timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, sizing.shrink);
	const uint32_t size = pool->paused ? pool->size : size_wanted(pool); /* its instances are idle only for a while */

	if (pool->leaving)
		return;
	if (size < pool->size)
		(void)pool_resize(pool, size); /* to have fewer slots needs no memory */
	watch(pool);
}

void sizing_on_resized(struct pool *pool)
{
	if (sizing_is_adaptive(pool))
		watch(pool);
	if (pool_shared_count(pool) > 0)
		pool_grow_later(pool);
}

int sizing_init(struct pool *pool)
{
	struct timers *timers = &pool->core->timers;

	if (timer_open(timers, &pool->sizing.grow, on_grow) < 0 || timer_open(timers, &pool->sizing.shrink, on_shrink) < 0)
		return -ENOMEM;
	return 0;
}

void sizing_stop(struct pool *pool)
{
	timer_close(&pool->core->timers, &pool->sizing.grow);
	timer_close(&pool->core->timers, &pool->sizing.shrink);
}
