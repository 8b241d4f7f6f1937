/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/attach.h"

#include "daemon/core/calls/direct_life.h"
#include "daemon/core/calls/lease.h"
#include "daemon/core/records/pool.h"
#include "tests/sim/faults.h"
#include "tests/sim/users.h"

#include <stdlib.h>

static void on_dropped(struct block *socket)
{
	free(socket);
}

void attach_open(struct world *world, struct client *client)
{
	struct pool *pool = world->pools[world_dice(world, WORLD_POOLS)];
	struct error error;

	if (!pool || world->core.draining || pool->size == 0 || client->hung_up)
		return;
	const int64_t wanted = world_one_in(world, 2) ? -1 : (int64_t)world_dice(world, pool->size + 1);
	if (wanted >= 0 && lease_check(client, pool, (uint32_t)wanted, &error) < 0)
		return;
	if (!users_may_attach(client, pool))
		return;
	struct slot *slot = direct_slot_for(pool, wanted, client, &error);
	if (!slot)
		return;
	struct block *socket = calloc(1, sizeof *socket);
	*socket = (struct block){.refs = 1, .fd = ++world->last_fd, .drop = on_dropped, .given_away = true};
	faults_arm(true);
	const struct direct *direct = direct_open(client, slot, socket, false);
	faults_arm(false);
	if (direct)
		world_say(world, "client %llu: has direct channel %llu to %s:%u", (unsigned long long)client->id,
			  (unsigned long long)direct->number, pool->name, slot->index);
	block_unref(socket);
}

void attach_cancel(struct world *world, struct client *client)
{
	struct direct *direct = TAILQ_FIRST(&client->directs);

	for (uint32_t i = world_dice(world, 4); direct && i > 0; i--)
		direct = TAILQ_NEXT(direct, of_client);
	if (!direct)
		return;
	const uint64_t begun = direct->slot ? board_direct_begun(&direct->slot->board->direct, direct->place) : 0;
	const uint64_t number = world_dice(world, 3); /* one that has ended lately, and whose answer may be put off */
	(void)direct_cancel_message(direct,
				    begun > number && world_one_in(world, 2) ? begun - 1 - number : world_dice(world, 40));
}

void attach_audit_slot(const struct world *world, const struct slot *slot)
{
	const struct direct *direct;
	uint64_t places = 0;
	uint32_t n = 0;

	TAILQ_FOREACH(direct, &slot->directs, of_slot) {
		HOLDS(world, direct->slot == slot, "a direct channel of another slot");
		HOLDS(world, direct->client || direct->reason, "a direct channel without a client stays open");
		HOLDS(world, !(places >> direct->place & 1), "two direct channels have the same place");
		places |= UINT64_C(1) << direct->place;
		n++;
	}
	HOLDS(world, n == slot->directs_count && places == slot->direct_places, "%u direct channels, and %u are counted", n,
	      slot->directs_count);
	HOLDS(world, n == 0 || slot->state == SLOT_READY, "direct channels to what is not ready");
	const struct lease *lease = slot->cleared_for;
	HOLDS(world, !lease || (lease->clearing == slot && lease->state == LEASE_WAITING && lease->pool == slot->pool),
	      "direct channels are closed for a lease that does not wait for it");
	HOLDS(world, n <= slot->pool->settings.max_direct, "more direct channels than max_direct");
}

void attach_audit_client(const struct world *world, const struct client *client)
{
	const struct direct *direct;
	uint32_t ended = 0;

	TAILQ_FOREACH(direct, &client->directs, of_client) {
		HOLDS(world, direct->client == client, "a direct channel of another client");
		HOLDS(world, direct->slot || direct->reason, "a direct channel has ended without a reason");
		ended += !direct->slot;
	}
	HOLDS(world, ended <= DIRECT_ENDED_MAX, "%u direct channels that have ended are remembered", ended);
}
