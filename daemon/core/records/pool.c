/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/pool.h"

#include <errno.h>
#include <stdio.h>

#define WAKE_LATER (10 * MILLISECOND)

struct pool *pool_find(const struct core *core, struct span name)
{
	struct pool *pool = idmap_get(&core->pools_by_name, name_hash(name.bytes, name.size));
	return pool && span_is(name, pool->name) ? pool : NULL;
}

void pool_say_unavailable(const struct pool *pool, struct error *error)
{
	error_say(error, ERROR_UNAVAILABLE, RAN_NO, "pool %s has no instance: %s", pool->name,
		  pool->reason[0] ? pool->reason : "none could be started");
	error->pool = pool->name;
}

void pool_say_no_slot(const struct pool *pool, uint64_t slot, struct error *error)
{
	char has[40];

	if (pool->size == 0)
		snprintf(has, sizeof has, "no slots");
	else if (pool->size == 1)
		snprintf(has, sizeof has, "slot 0 only");
	else
		snprintf(has, sizeof has, "slots 0 to %u", pool->size - 1);
	error_say(error, ERROR_NO_SUCH_SLOT, RAN_NO, "pool %s has %s, and no slot %llu", pool->name, has,
		  (unsigned long long)slot);
	error->pool = pool->name;
}

int pool_set_methods(struct pool *pool, struct span methods, bool open)
{
	pool->core->epoch++;
	return methods_set(&pool->methods, methods, open, pool->calls_count > 0);
}

int pool_note_session(struct pool *pool, const struct client *client)
{
	if (!pool->tells_sessions && pool->methods.known)
		return 0;
	return idmap_add(&pool->sessions, client->id, pool) == -ENOMEM ? -ENOMEM : 0; /* -EEXIST: the session is noted already */
}

void pool_reap_later(struct pool *pool)
{
	if (pool->leaving)
		core_reap_later(pool->core, &pool->ending);
}

/* ---- marks ---- */

void pool_wake(struct pool *pool)
{
	timer_set(&pool->core->timers, &pool->wake, pool->core->now);
}

void pool_wake_later(struct pool *pool)
{
	if (!timer_is_set(&pool->wake))
		timer_set(&pool->core->timers, &pool->wake, pool->core->now + WAKE_LATER);
}

void pool_watch(struct pool *pool, uint64_t after)
{
	const uint64_t at = pool->core->now + after;

	pool->recall_pause = MILLISECOND;
	if (!timer_is_set(&pool->recall) || pool->recall.at > at)
		timer_set(&pool->core->timers, &pool->recall, at);
}

void pool_note_sharing(struct pool *pool)
{
	pool->shared_until = pool->core->now + POOL_SHARED_FOR;
	if (pool->laden_deep)
		pool_watch(pool, 0);
}

void pool_grow_later(struct pool *pool)
{
	struct timer *timer = &pool->sizing.grow;

	if (pool->size < pool->settings.workers_max && !timer_is_set(timer))
		timer_set(&pool->core->timers, timer, pool->core->now + POOL_GROW_AFTER);
}
