/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/cluster/shared.h"

#include "daemon/core/records/slot.h"
#include "daemon/supervisor/workers/template.h"

const struct config_pool *shared_section(const struct pool *pool)
{
	const struct config_pool *section = &template_of(pool)->section;

	return section->share && !pool->leaving ? section : NULL;
}

bool shared_slot_is_ready(const struct pool *pool, uint32_t index)
{
	return !pool->paused && pool->slots[index]->state == SLOT_READY;
}

uint32_t shared_ready(const struct pool *pool)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < pool->size; i++)
		n += shared_slot_is_ready(pool, i);
	return n;
}

uint32_t shared_running(const struct pool *pool)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < pool->size; i++) {
		const struct slot *slot = pool->slots[i];
		n += slot->handed_count > 0 || !slot->leased ? slot->handed_count : 1;
	}
	return n;
}

uint64_t shared_finished(const struct pool *pool)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < pool->size; i++)
		n += pool->slots[i]->calls;
	return n;
}

bool shared_is_full(const struct pool *pool)
{
	if (pool->paused)
		return true;
	if (!TAILQ_EMPTY(&pool->idle))
		return false;
	return pool->waiting >= shared_ready(pool); /* none is ready: also with nothing waiting */
}
