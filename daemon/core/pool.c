/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/pool.h"

#include "daemon/core/call_answer.h"
#include "daemon/core/deferral.h"
#include "daemon/core/lease.h"
#include "daemon/core/nested.h"
#include "daemon/core/scheduler.h"
#include "daemon/core/withdraw.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define WAKE_LATER (10 * MILLISECOND)

enum { FAILED_AT_ONCE = 200 /* calls of a pool that is dropped: what others ask is done between */ };

static void on_drop(struct timer *timer);

static void on_wake(struct timer *timer)
{
	struct pool *pool = container_of(timer, struct pool, wake);
	struct slot *slot;

	for (uint32_t i = 0; i < pool->size; i++)
		slot_look(pool->slots[i]);
	TAILQ_FOREACH(slot, &pool->others, link)
		slot_look(slot);
	scheduler_run(pool);
}

void pool_wake(struct pool *pool)
{
	timer_set(&pool->core->timers, &pool->wake, pool->core->now);
}

void pool_wake_later(struct pool *pool)
{
	if (!timer_is_set(&pool->wake))
		timer_set(&pool->core->timers, &pool->wake, pool->core->now + WAKE_LATER);
}

int pool_set_methods(struct pool *pool, struct span methods, bool open)
{
	pool->core->epoch++;
	return methods_set(&pool->methods, methods, open, pool->calls_count > 0);
}

/* ---- sessions that have called ---- */

int pool_note_session(struct pool *pool, const struct client *client)
{
	if (!pool->tells_sessions && pool->methods.known)
		return 0;
	return idmap_add(&pool->sessions, client->id, pool) == -ENOMEM ? -ENOMEM : 0; /* -EEXIST: the session is noted already */
}

void pool_on_session_end(struct pool *pool, uint64_t session)
{
	if (!idmap_remove(&pool->sessions, session) || !pool->tells_sessions)
		return;
	for (uint32_t i = 0; i < pool->size; i++)
		slot_on_session_end(pool->slots[i], session);
}

/* ---- coming and going ---- */

/* Deletes the slots from pool->size up to `size`, which have not begun. */
static void delete_slots(struct pool *pool, uint32_t size)
{
	while (size > pool->size)
		slot_delete(pool->slots[--size]);
}

/* Makes slots from pool->size up to `size`, which do not begin yet. 0; -ENOMEM: none has been made. */
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
		slot_begin(pool->slots[pool->size++]);
}

/* Frees a pool that has no slots and calls. Returns NULL. */
static struct pool *pool_delete(struct pool *pool)
{
	struct timers *timers = &pool->core->timers;

	sizing_stop(pool);
	timer_close(timers, &pool->recall);
	timer_close(timers, &pool->wake);
	timer_close(timers, &pool->drop);
	timer_close(timers, &pool->circles);
	(void)sticky_forget(pool, (struct span){0});
	client_gone(&pool->self);
	queue_free(&pool->queue);
	idmap_free(&pool->sessions);
	methods_free(&pool->methods);
	free(pool->slots);
	free(pool->name);
	free(pool);
	return NULL;
}

static void init_lists(struct pool *pool)
{
	TAILQ_INIT(&pool->others);
	TAILQ_INIT(&pool->idle);
	TAILQ_INIT(&pool->open);
	TAILQ_INIT(&pool->calls);
	TAILQ_INIT(&pool->leases);
	sticky_init(&pool->stickies);
	client_init_own(&pool->self, pool->core);
	queue_init(&pool->queue, pool, &pool->waiting);
}

static void pool_free(struct pool *pool)
{
	struct core *core = pool->core;

	TAILQ_REMOVE(&core->pools, pool, link);
	core->epoch++;
	core->ops->pool_free(pool);
	(void)pool_delete(pool);
}

/* A pool that is leaving: ends its slots when it has no calls, and frees it when it has no slots. */
static void pool_reap(struct ending *ending)
{
	struct pool *pool = container_of(ending, struct pool, ending);

	if (!TAILQ_EMPTY(&pool->calls))
		return;
	while (pool->size > 0)
		slot_leave(pool->slots[--pool->size]);
	if (TAILQ_EMPTY(&pool->others))
		pool_free(pool);
}

struct pool *pool_new(struct core *core, const char *name, uint32_t size, const struct pool_settings *settings, void *owner)
{
	struct pool *pool = calloc(1, sizeof *pool);

	if (!pool)
		return NULL;
	pool->ending.reap = pool_reap;
	pool->core = core;
	pool->settings = *settings;
	pool->owner = owner;
	init_lists(pool);
	if (!(pool->name = strdup(name)) || sizing_init(pool) < 0 ||
	    timer_open(&core->timers, &pool->recall, scheduler_on_recall) < 0 ||
	    timer_open(&core->timers, &pool->wake, on_wake) < 0 || timer_open(&core->timers, &pool->drop, on_drop) < 0 ||
	    timer_open(&core->timers, &pool->circles, nested_on_circles) < 0 || make_slots(pool, size) < 0)
		return pool_delete(pool);
	if (idmap_add(&core->pools_by_name, name_hash(name, strlen(name)), pool) < 0) {
		delete_slots(pool, size);
		return pool_delete(pool);
	}
	TAILQ_INSERT_TAIL(&core->pools, pool, link);
	core->epoch++;
	begin_slots(pool, size);
	sizing_on_resized(pool);
	return pool;
}

struct pool *pool_find(const struct core *core, struct span name)
{
	struct pool *pool = idmap_get(&core->pools_by_name, name_hash(name.bytes, name.size));
	return pool && span_is(name, pool->name) ? pool : NULL;
}

int pool_resize(struct pool *pool, uint32_t size)
{
	const bool shrinks = pool->size > size;

	core_trace(pool->core, pool, NULL, "from %u to %u workers", pool->size, size);
	while (pool->size > size)
		slot_leave(pool->slots[--pool->size]); /* no longer found by number; finishes what it has */
	if (shrinks) {
		lease_on_shrunk(pool);
		nested_on_shrunk(pool);
	}
	pool->core->epoch++;
	const int r = size > pool->size ? make_slots(pool, size) : 0;
	if (r == 0)
		begin_slots(pool, size);
	sizing_on_resized(pool);
	return r;
}

void pool_set(struct pool *pool, const struct pool_settings *settings)
{
	pool->settings = *settings;
	sizing_on_resized(pool);
}

void pool_end_deferred(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size; i++)
		deferral_end_all(pool->slots[i]);
}

void pool_expect_end(struct pool *pool)
{
	struct slot *slot;

	for (uint32_t i = 0; i < pool->size; i++)
		slot_expect_end(pool->slots[i]);
	TAILQ_FOREACH(slot, &pool->others, link)
		slot_expect_end(slot);
}

void pool_drain_all(struct core *core)
{
	struct pool *pool;

	core->draining = true;
	TAILQ_FOREACH(pool, &core->pools, link)
		pool_end_deferred(pool);
	TAILQ_FOREACH(pool, &core->pools, link)
		pool_expect_end(pool);
}

void pool_leave(struct pool *pool)
{
	if (!pool->leaving) {
		pool->leaving = true;
		idmap_remove(&pool->core->pools_by_name, name_hash(pool->name, strlen(pool->name)));
		pool->core->epoch++;
		pool_end_deferred(pool);
		lease_on_pool_gone(pool);
		pool_expect_end(pool);
	}
	pool_on_ended(pool);
}

static void fail_for_drop(struct pool *pool, struct call *call)
{
	struct error error;

	if (call->answered)
		return;
	error_say(&error, pool->drop_code, withdraw_unless_begun(call) == REVOKED ? RAN_NO : RAN_MAYBE, "%s", pool->drop_why);
	error.pool = pool->name;
	call_fail(call, &error);
}

/* Fails the next calls, each of which goes to the end of the list. */
static void fail_some(struct pool *pool)
{
	struct call *call;

	for (int n = 0; n < FAILED_AT_ONCE && pool->drop_left > 0 && (call = TAILQ_FIRST(&pool->calls)); n++, pool->drop_left--) {
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
		timer_set(&pool->core->timers, timer, pool->core->now + 1); /* in the next turn */
		return;
	}
	while (pool->size > 0)
		slot_leave(pool->slots[--pool->size]);
}

void pool_drop(struct pool *pool, enum error_code code, const char *why)
{
	pool_leave(pool); /* takes no more */
	pool->drop_code = code;
	pool->drop_why = why;
	pool->drop_left = pool->calls_count;
	on_drop(&pool->drop);
}

void pool_on_ended(struct pool *pool)
{
	if (pool->leaving)
		core_reap_later(pool->core, &pool->ending);
}

/* ---- when nobody is there ---- */

void pool_unavailable(const struct pool *pool, struct error *error)
{
	error_say(error, ERROR_UNAVAILABLE, RAN_NO, "pool %s has no instance: %s", pool->name,
		  pool->fault[0] ? pool->fault : "none could be started");
	error->pool = pool->name;
}

static void fail_waiting(struct queue *queue, const struct error *why)
{
	struct batch *batch;

	while ((batch = queue_any(queue))) {
		queue_remove(batch);
		batch_fail(batch, why);
	}
}

void pool_on_broken(struct pool *pool, struct slot *slot)
{
	struct error why;

	slot_unavailable(slot, &why);
	fail_waiting(&slot->queue, &why);
	if (pool_is_available(pool))
		return;
	pool_unavailable(pool, &why);
	fail_waiting(&pool->queue, &why);
}

void pool_on_slot_removed(struct pool *pool, struct slot *slot)
{
	struct error why;

	error_say(&why, ERROR_NO_SUCH_SLOT, RAN_NO, "slot %u of pool %s has been removed", slot->index, pool->name);
	slot_fill_place(slot, &why);
	fail_waiting(&slot->queue, &why);
}
