/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/life/pause.h"

#include "daemon/core/calls/direct_life.h"
#include "daemon/core/calls/recall.h"
#include "daemon/core/records/slot.h"

void pool_pause(struct pool *pool)
{
	struct slot *slot;

	if (pool->paused)
		return;
	core_trace(pool->core, pool, NULL, "paused");
	pool->paused = true;
	recall_from_pool(pool);
	SLOT_FOREACH(slot, pool)
		direct_close_all(slot, "paused", 0);
}

void pool_resume(struct pool *pool)
{
	struct slot *slot;

	if (!pool->paused)
		return;
	core_trace(pool->core, pool, NULL, "resumed");
	pool->paused = false;
	queue_resume(&pool->queue);
	queue_resume(&pool->later);
	SLOT_FOREACH(slot, pool)
		queue_resume(&slot->queue);
	pool_wake(pool);
	if (pool_shared_count(pool) > 0)
		pool_grow_later(pool);
}

bool pool_rests(const struct pool *pool)
{
	struct slot *slot;

	SLOT_FOREACH(slot, pool)
		if (!slot_rests(slot))
			return false;
	return true;
}
