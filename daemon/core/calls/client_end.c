/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/client_end.h"

#include "daemon/core/calls/call_life.h"
#include "daemon/core/calls/direct_life.h"
#include "daemon/core/calls/lease_end.h"
#include "daemon/core/calls/recall.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/records/queue.h"
#include "daemon/core/records/remote.h"
#include "daemon/core/records/slot.h"
#include "daemon/core/dispatch/to_worker.h"
#include "daemon/core/dispatch/yield.h"

#include <assert.h>

static void resume_flows(const struct client *client)
{
	struct flow *flow;

	TAILQ_FOREACH(flow, &client->flows, of_client)
		if (flow_resume(flow))
			pool_wake(flow->queue->pool);
}

/* It holds as much as it may: what workers have in hand for it would come on top of that. */
static void recall_its_tasks(struct client *client)
{
	if (client->recalled || !client_has_unread(client, client->core->limits.max_unsent))
		return;
	client->recalled = true;
	recall_from_client(client);
}

void client_on_sent(struct client *client)
{
	if (!client->stalled)
		return;
	if (client_has_unread(client, client->core->limits.max_unsent / 2)) {
		recall_its_tasks(client);
		return;
	}
	client->stalled = client->recalled = false;
	resume_flows(client);
	yield_resume(client);
}

/* ---- a client goes ---- */

static void leave_other_hosts(struct client *client)
{
	if (client->abroad)
		client->core->remote->leave(client);
}

void client_hang_up(struct client *client)
{
	if (client->hung_up)
		return;
	client->hung_up = true;
	client_exit(client);
	client_abandon(&client->tickets);
	leave_other_hosts(client);
	direct_on_client_gone(client);
	sendq_clear(&client->out);
	sendq_lose_kept(&client->kept);
	client_on_sent(client); /* its notifications must not wait until it reads */
}

bool client_notifies(const struct client *client, const struct pool *pool)
{
	struct ticket *ticket;

	TAILQ_FOREACH(ticket, &client->notifications, link) {
		const struct call *call = call_of_ticket(ticket);
		if (call && call->pool == pool)
			return true;
	}
	return false;
}

static void tell_slot(struct slot *slot, uint64_t session)
{
	if (slot->state == SLOT_READY && !slot->killed)
		to_worker_session_end(slot, session);
	else if (slot->successor)
		to_worker_session_end_later(slot->successor, session);
}

static void tell_pool(struct pool *pool, uint64_t session)
{
	if (!idmap_remove(&pool->sessions, session) || !pool->tells_sessions)
		return;
	for (uint32_t i = 0; i < pool->size; i++)
		tell_slot(pool->slots[i], session);
}

bool client_leave(struct client *client)
{
	struct pool *pool;

	client_hang_up(client);
	if (TAILQ_EMPTY(&client->notifications)) {
		client_gone(client);
		return true;
	}
	client->left = true;
	lease_on_client_left(client);
	TAILQ_FOREACH(pool, &client->core->pools, link)
		if (!client_notifies(client, pool))
			tell_pool(pool, client->id);
	return false;
}

void client_gone(struct client *client)
{
	struct pool *pool;

	client_hang_up(client);
	client_abandon(&client->notifications);
	leave_other_hosts(client); /* notifications may have come since */
	lease_on_client_gone(client);
	TAILQ_FOREACH(pool, &client->core->pools, link)
		tell_pool(pool, client->id);
	assert(TAILQ_EMPTY(&client->flows));
	idmap_free(&client->inflight);
	account_close(client->account);
	client->account = client->out.account = &client->core->memory;
	client_set_rights(client, NULL);
}
