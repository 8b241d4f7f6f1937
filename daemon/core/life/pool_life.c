/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/life/pool_life.h"

#include "daemon/core/calls/call_answer.h"
#include "daemon/core/calls/client_end.h"
#include "daemon/core/calls/direct_life.h"
#include "daemon/core/calls/failing.h"
#include "daemon/core/calls/lease_end.h"
#include "daemon/core/life/lost.h"
#include "daemon/core/calls/nested.h"
#include "daemon/core/life/pause.h"
#include "daemon/core/calls/recall.h"
#include "daemon/core/dispatch/scheduler.h"
#include "daemon/core/life/sizing.h"
#include "daemon/core/life/slot_life.h"
#include "daemon/core/life/slot_state.h"
#include "daemon/core/dispatch/sticky.h"
#include "daemon/core/calls/withdraw.h"

#include <errno.h>
#include <stdlib.h>

enum { FAILED_AT_ONCE = 200 /* calls of a dropped pool that fail in one event */ };

static void on_wake(struct timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, wake);
	struct slot *slot;

	sizing_on_waiting(pool);
	SLOT_FOREACH(slot, pool)
		slot_step(slot);
	scheduler_run(pool);
}

/* ---- dropping: its calls fail, some in each turn ---- */

static void fail_for_drop(struct pool *pool, struct call *call)
{
	struct error error;

	if (call->answered)
		return;
	error_say(&error, pool->drop_code, RAN_MAYBE, "%s", pool->drop_reason);
	call_fail_withdrawn(call, &error);
}

/* Fails the next calls. Each is moved to the end of the list. */
static void fail_some(struct pool *pool)
{
	struct call *call;

	uint32_t n = 0;

	for (; n < FAILED_AT_ONCE && pool->drop_left > 0 && (call = TAILQ_FIRST(&pool->calls)); pool->drop_left--) {
		n += call->train ? call->train->count : 1;
		TAILQ_REMOVE(&pool->calls, call, link);
		TAILQ_INSERT_TAIL(&pool->calls, call, link);
		fail_for_drop(pool, call);
	}
}

static void on_drop(struct timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, drop);

	fail_some(pool);
	if (pool->drop_left > 0 && !TAILQ_EMPTY(&pool->calls)) {
		timer_set(&pool->core->timers, timer, pool->core->now + 1); /* in the next turn of the loop */
		return;
	}
	while (pool->size > 0)
		slot_leave(pool->slots[--pool->size]);
}

/* ---- coming and going ---- */

/* Frees a pool that has no slots and calls. Returns NULL. */
static struct pool *pool_delete(struct pool *pool)
{
	struct timers *timers = &pool->core->timers;

	sizing_stop(pool);
	timer_close(timers, &pool->recall);
	timer_close(timers, &pool->wake);
	timer_close(timers, &pool->drop);
	timer_close(timers, &pool->tell);
	timer_close(timers, &pool->circles);
	(void)sticky_forget(pool, (struct span){0});
	client_gone(&pool->self);
	queue_free(&pool->queue);
	queue_free(&pool->later);
	idmap_free(&pool->sessions);
	methods_free(&pool->methods);
	free(pool->slots);
	free(pool->name);
	free(pool);
	return NULL;
}

static void init_lists(struct pool *pool)
{
	TAILQ_INIT(&pool->detached);
	TAILQ_INIT(&pool->idle);
	TAILQ_INIT(&pool->open);
	TAILQ_INIT(&pool->laden);
	TAILQ_INIT(&pool->refusing);
	TAILQ_INIT(&pool->calls);
	TAILQ_INIT(&pool->leases);
	TAILQ_INIT(&pool->failing);
	sticky_init(&pool->stickies);
	client_init_own(&pool->self, pool->core);
	queue_init(&pool->queue, pool, &pool->waiting, &pool->paused, &pool->turns);
	queue_init(&pool->later, pool, &pool->waiting, &pool->paused, &pool->turns);
}

/* A pool that is leaving: ends its slots when it has no calls, and frees it when it has no slots. */
static void reap(struct ending *ending)
{
	struct pool *pool = container_of(ending, struct pool, ending);

	if (!TAILQ_EMPTY(&pool->calls))
		return;
	while (pool->size > 0)
		slot_leave(pool->slots[--pool->size]);
	if (!TAILQ_EMPTY(&pool->detached))
		return;
	TAILQ_REMOVE(&pool->core->pools, pool, link);
	pool->core->epoch++;
	pool->core->ops->pool_free(pool);
	(void)pool_delete(pool);
}

static int open_timers(struct pool *pool)
{
	struct timers *timers = &pool->core->timers;

	if (sizing_init(pool) < 0 || timer_open(timers, &pool->recall, recall_on_timer) < 0 ||
	    timer_open(timers, &pool->wake, on_wake) < 0 || timer_open(timers, &pool->drop, on_drop) < 0 ||
	    timer_open(timers, &pool->tell, failing_on_timer) < 0 ||
	    timer_open(timers, &pool->circles, nested_on_circles) < 0)
		return -ENOMEM;
	return 0;
}

struct pool *pool_new(struct core *core, const char *name, uint32_t size, const struct pool_settings *settings, void *owner)
{
	struct pool *pool = calloc(1, sizeof *pool);

	if (!pool)
		return NULL;
	pool->ending.reap = reap;
	pool->core = core;
	pool->settings = *settings;
	pool->owner = owner;
	init_lists(pool);
	if (!(pool->name = strdup(name)) || open_timers(pool) < 0 ||
	    idmap_add(&core->pools_by_name, name_hash(name, strlen(name)), pool) < 0)
		return pool_delete(pool);
	TAILQ_INSERT_TAIL(&core->pools, pool, link);
	if (pool_resize(pool, size) < 0) {
		idmap_remove(&core->pools_by_name, name_hash(name, strlen(name)));
		TAILQ_REMOVE(&core->pools, pool, link);
		return pool_delete(pool);
	}
	return pool;
}

/* Ends the direct channels of all its instances. */
static void close_direct(struct pool *pool, const char *reason)
{
	struct slot *slot;

	SLOT_FOREACH(slot, pool)
		direct_close_all(slot, reason, 0);
}

void pool_set(struct pool *pool, const struct pool_settings *settings)
{
	struct slot *slot;

	pool->settings = *settings;
	if (settings->max_direct == 0)
		close_direct(pool, "refused");
	SLOT_FOREACH(slot, pool)
		slot_on_settings(slot);
	timer_clear(&pool->core->timers, &pool->sizing.shrink); /* idle_timeout may be shorter */
	sizing_on_resized(pool);
	pool_wake(pool);
}

void pool_end_deferred(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size; i++)
		lost_waiters(pool->slots[i]);
}

void pool_expect_end(struct pool *pool)
{
	struct slot *slot;

	SLOT_FOREACH(slot, pool)
		slot_expect_end(slot);
}

void pool_drain_all(struct core *core)
{
	struct pool *pool;

	core->draining = true;
	TAILQ_FOREACH(pool, &core->pools, link) {
		pool_resume(pool);
		pool_end_deferred(pool);
		lease_on_drain(pool);
		close_direct(pool, "stopping");
	}
	TAILQ_FOREACH(pool, &core->pools, link)
		pool_expect_end(pool);
}

void pool_leave(struct pool *pool)
{
	if (!pool->leaving) {
		pool->leaving = true;
		idmap_remove(&pool->core->pools_by_name, name_hash(pool->name, strlen(pool->name)));
		pool->core->epoch++;
		pool_resume(pool);
		pool_end_deferred(pool);
		lease_on_pool_gone(pool);
		close_direct(pool, "removed");
		pool_expect_end(pool);
	}
	pool_reap_later(pool);
}

void pool_set_stop_timeout(struct pool *pool, uint64_t stop_timeout)
{
	struct slot *slot;

	pool->settings.stop_timeout = stop_timeout;
	SLOT_FOREACH(slot, pool)
		if (slot->state == SLOT_STOPPING)
			slot_set_timer(slot, stop_timeout);
}

void pool_drop(struct pool *pool, enum error_code code, const char *reason)
{
	pool_leave(pool); /* it takes no calls any more */
	pool->drop_code = code;
	pool->drop_reason = reason;
	pool->drop_left = pool->calls_count;
	on_drop(&pool->drop);
}
