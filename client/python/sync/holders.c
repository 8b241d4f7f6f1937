/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much each process holds. An entry of a dead process is removed by one store, that of its identity.
 */
#include "client/python/sync/sync.h"

#include <stddef.h>

static struct holder *claim(struct holders *holders, struct holder *entry, uint64_t identity)
{
	entry->count = entry->tag = 0;
	__atomic_store_n(&entry->identity, identity, __ATOMIC_RELEASE);
	const uint32_t index = (uint32_t)(entry - holders->entries);
	if (holders->used <= index)
		__atomic_store_n(&holders->used, index + 1, __ATOMIC_RELEASE);
	return entry;
}

static uint32_t used(const struct holders *holders)
{
	return holders->used < HOLDERS ? holders->used : HOLDERS;
}

struct holder *holders_own(struct holders *holders, bool made)
{
	const uint64_t self = identity_self();
	struct holder *vacant = NULL;
	const uint32_t end = used(holders);

	for (uint32_t i = 0; i < end; i++) {
		struct holder *entry = &holders->entries[i];
		if (entry->identity == self)
			return entry;
		if (!vacant && (!entry->identity || !entry->count))
			vacant = entry;
	}
	if (!made)
		return NULL;
	if (!vacant && end < HOLDERS)
		vacant = &holders->entries[end];
	return vacant ? claim(holders, vacant, self) : NULL;
}

struct holder *holders_any(struct holders *holders)
{
	for (uint32_t i = 0; i < used(holders); i++)
		if (holders->entries[i].identity && holders->entries[i].count)
			return &holders->entries[i];
	return NULL;
}

uint64_t holders_sum(const struct holders *holders)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < used(holders); i++)
		if (holders->entries[i].identity)
			sum += holders->entries[i].count;
	return sum;
}

uint64_t holders_bury(struct holders *holders)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < used(holders); i++) {
		struct holder *entry = &holders->entries[i];
		if (!entry->identity || !entry->count || !identity_is_dead(entry->identity))
			continue;
		sum += entry->count;
		entry->identity = 0;
	}
	return sum;
}
