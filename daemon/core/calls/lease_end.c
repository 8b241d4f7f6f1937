/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/lease_end.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/records/slot.h"

/* Does a call of the client wait for the slot, or has the slot a call of the client in its hands? */
static bool has_work(const struct slot *slot, const struct client *client)
{
	const struct batch *batch;

	if (queue_has(&slot->queue, client->id))
		return true;
	TAILQ_FOREACH(batch, &slot->handed, link)
		if (batch->call->session == client->id)
			return true;
	return false;
}

/* The lease's client can't make calls any more. Do its earlier calls need the lease? Calls in the slot run as the holder's.
 * Other calls of a lost lease must not reach another instance. */
static bool is_needed(const struct lease *lease)
{
	return lease->state == LEASE_LOST || (lease->state == LEASE_HELD && has_work(lease->slot, lease->client));
}

void lease_on_client_left(struct client *client)
{
	struct lease *lease, *next;

	for (lease = TAILQ_FIRST(&client->leases); lease; lease = next) {
		next = TAILQ_NEXT(lease, of_client);
		if (!is_needed(lease))
			lease_release(lease);
	}
}

void lease_on_client_gone(struct client *client)
{
	while (!TAILQ_EMPTY(&client->leases))
		lease_release(TAILQ_FIRST(&client->leases));
}

void lease_on_drain(struct pool *pool)
{
	struct lease *lease, *next;
	struct error error;

	for (lease = TAILQ_FIRST(&pool->leases); lease; lease = next) {
		next = TAILQ_NEXT(lease, of_pool);
		if (lease->state <= LEASE_ASKING) {
			error_say(&error, ERROR_UNAVAILABLE, RAN_NO, "the daemon is stopping and grants no leases");
			lease_fail(lease, &error);
			lease_release(lease);
		} else if (!is_needed(lease)) {
			lease_release(lease);
		}
	}
}

void lease_release_if_unneeded(const struct slot *slot)
{
	struct lease *lease = slot->leased;

	if (lease && (lease->client->left || lease->client->core->draining) && !is_needed(lease))
		lease_release(lease);
}

void lease_on_worker_gone(struct slot *slot)
{
	const struct lease *lease = lease_lose_slot(slot, "the worker died");
	if (lease)
		lease_fail_calls(lease);
}

void lease_on_slot_removed(struct slot *slot)
{
	(void)lease_lose_slot(slot,
			      "its slot was removed"); /* the slot finishes the tasks that are addressed to it before it ends */
}

void lease_on_shrunk(struct pool *pool)
{
	struct lease *lease, *next;
	struct error error;

	for (lease = TAILQ_FIRST(&pool->leases); lease; lease = next) {
		next = TAILQ_NEXT(lease, of_pool);
		if (lease->state > LEASE_ASKING || lease->wanted < (int64_t)pool->size)
			continue;
		error_say(&error, ERROR_NO_SUCH_SLOT, RAN_NO, "slot %lld of pool %s has been removed", (long long)lease->wanted,
			  pool->name);
		error.slot = lease->wanted;
		lease_fail(lease, &error);
		lease_release(lease);
	}
}

void lease_on_broken(struct pool *pool)
{
	struct lease *lease, *next;
	struct error error;

	for (lease = TAILQ_FIRST(&pool->leases); lease && pool->leases_waiting > 0; lease = next) {
		next = TAILQ_NEXT(lease, of_pool);
		if (lease->state != LEASE_WAITING || lease_check_place(pool, lease->wanted, &error) == 0)
			continue;
		lease_fail(lease, &error);
		lease_release(lease);
	}
}

void lease_on_pool_gone(struct pool *pool)
{
	struct lease *lease, *next;
	struct error error;

	for (lease = TAILQ_FIRST(&pool->leases); lease; lease = next) {
		next = TAILQ_NEXT(lease, of_pool);
		if (lease->state <= LEASE_ASKING) {
			error_say(&error, ERROR_CANCELLED, RAN_NO, "pool %s was removed", pool->name);
			lease_fail(lease, &error);
			lease_release(lease);
			continue;
		}
		if (lease->state == LEASE_HELD)
			lease_lose(lease, "its pool was removed");
		TAILQ_REMOVE(&pool->leases, lease, of_pool);
		lease->pool = NULL;
	}
}
