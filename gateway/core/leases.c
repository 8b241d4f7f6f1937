/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/leases.h"

#include <stdlib.h>

void leases_add(struct leases *leases, struct span pool, struct remote_lease lease)
{
	if (leases->count == leases->room) {
		const uint32_t room = 2 * leases->room + 4;
		struct remote_lease *list = realloc(leases->list, room * sizeof *list);
		if (!list)
			return;
		leases->list = list;
		leases->room = room;
	}
	lease.pool = strndup((const char *)pool.bytes, pool.size);
	leases->list[leases->count] = lease;
	leases->count += lease.pool != NULL;
}

static void drop(struct leases *leases, uint32_t at)
{
	free(leases->list[at].pool);
	memmove(leases->list + at, leases->list + at + 1, (--leases->count - at) * sizeof *leases->list);
}

static bool is_meant(const struct remote_lease *lease, struct span pool, struct span of, int64_t slot)
{
	return span_is(pool, lease->pool) && (of.size > 0 ? span_is(of, lease->host) : lease->of_any) &&
	       (slot == LEASE_ANY_SLOT || lease->slot == LEASE_ANY_SLOT || slot == lease->slot);
}

bool leases_take(struct leases *leases, struct span pool, struct span of, int64_t slot, struct remote_lease *taken)
{
	for (uint32_t i = 0; i < leases->count; i++) {
		const uint32_t at = of.size > 0 ? i : leases->count - 1 - i;
		if (!is_meant(&leases->list[at], pool, of, slot))
			continue;
		*taken = leases->list[at];
		taken->pool = NULL;
		drop(leases, at);
		return true;
	}
	return false;
}

void leases_lose(struct leases *leases, const char *host)
{
	for (uint32_t i = leases->count; i-- > 0;)
		if (strcmp(leases->list[i].host, host) == 0)
			drop(leases, i);
}

bool leases_hold(const struct leases *leases, uint64_t now)
{
	for (uint32_t i = leases->count; i-- > 0;)
		if (leases->list[i].until > now)
			return true;
	return false;
}

void leases_free(struct leases *leases)
{
	while (leases->count > 0)
		drop(leases, leases->count - 1);
	free(leases->list);
	*leases = (struct leases){0};
}
