/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/audit_users.h"

#include "daemon/core/calls/direct.h"
#include "daemon/core/records/slot.h"
#include "tests/sim/player.h"
#include "tests/sim/users.h"

/* What is found for a quota. */
struct found {
	uint32_t connections, inflight, lingering, leases, directs;
};

static void count_client(struct found *found, const struct quota *quota, const struct client *client)
{
	if (client->quota != quota)
		return;
	found->connections += !client->hung_up;
	found->inflight += client->inflight.count + client->notified;
	found->leases += client->lease_count;
}

static void count_slot(struct found *found, const struct quota *quota, const struct slot *slot)
{
	const struct direct *direct;

	TAILQ_FOREACH(direct, &slot->directs, of_slot)
		found->directs += direct->rights && direct->rights->quota == quota;
}

static void count_pool(struct found *found, const struct quota *quota, const struct pool *pool)
{
	const struct call *call;
	const struct slot *slot;

	TAILQ_FOREACH(call, &pool->calls, link)
		found->lingering += call->lingers && call->rights->quota == quota;
	SLOT_FOREACH(slot, pool)
		count_slot(found, quota, slot);
}

static void audit_quota(const struct world *world, const struct quota *quota, bool quiet)
{
	struct found found = {0};
	const struct client *client;
	const struct pool *pool;

	for (uint32_t i = 0; (client = player_next(world, &i));)
		count_client(&found, quota, client);
	TAILQ_FOREACH(pool, &world->core.pools, link)
		count_pool(&found, quota, pool);
	HOLDS(world, quota->connections == found.connections && quota->sessions == found.connections,
	      "user %s has %u sessions, and %u of %u are counted", quota->name, found.connections, quota->sessions,
	      quota->connections);
	HOLDS(world, quota->inflight == found.inflight, "user %s has %u calls in flight, and %u are counted", quota->name,
	      found.inflight, quota->inflight);
	HOLDS(world, quota->lingering == found.lingering, "user %s has %u calls that linger, and %u are counted", quota->name,
	      found.lingering, quota->lingering);
	HOLDS(world, quota->leases == found.leases, "user %s has %u leases, and %u are counted", quota->name, found.leases,
	      quota->leases);
	HOLDS(world, quota->directs == found.directs, "user %s has %u direct channels, and %u are counted", quota->name,
	      found.directs, quota->directs);
	HOLDS(world, !quiet || quota->inflight + quota->lingering + quota->leases == 0, "user %s has something when all is over",
	      quota->name);
}

void audit_users(const struct world *world, bool quiet)
{
	uint64_t denied = 0;

	for (int user = 0; user < USERS && world->flavour.users; user++) {
		const struct quota *quota = users_grant(world, user)->rights->quota;
		audit_quota(world, quota, quiet);
		denied += quota->denied;
	}
	HOLDS(world, denied == world->core.denied, "%llu requests were denied, and %llu are counted",
	      (unsigned long long)world->core.denied, (unsigned long long)denied);
}
