/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/view/clients.h"

#include "daemon/core/calls/call_life.h"
#include "daemon/core/calls/direct.h"
#include "daemon/core/calls/lease.h"
#include "daemon/core/calls/passengers.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/records/slot.h"
#include "daemon/supervisor/base/packtext.h"

/* ---- what is waited for: its oldest request ---- */

static const struct call *call_of(struct ticket *ticket)
{
	const struct passenger *passenger = passenger_of(ticket);

	return passenger ? passenger->call : call_of_ticket(ticket);
}

/* The pool of which the request wants a lease. NULL: it wants none. */
static const struct pool *leased_by(const struct client *client, const struct ticket *ticket)
{
	const struct lease *lease;

	TAILQ_FOREACH(lease, &client->leases, of_client)
		if (&lease->ticket == ticket)
			return lease->pool;
	return NULL;
}

static void describe_wait(const struct client *client, struct ticket *ticket, char *text, size_t size)
{
	const struct call *call = call_of(ticket);
	const struct pool *pool = call ? call->pool : leased_by(client, ticket);

	if (call)
		snprintf(text, size, "%s.%.*s", pool->name, SPAN_TEXT(call->name, 100));
	else if (pool)
		snprintf(text, size, "a lease of %s", pool->name);
	else
		snprintf(text, size, "%s", ticket->remote ? "other hosts" : "the daemon");
}

/* The slot that has the call. NULL: it waits, or it is more than one task. */
static const struct slot *slot_of(const struct call *call)
{
	const bool has_one = call && call_is_single(call) && (call->only.tag || slot_has_in_hand(&call->only));

	return has_one ? call->only.slot : NULL;
}

/* Three keys. */
static void pack_wait(const struct client *client, msgpack_packer *packer)
{
	struct ticket *ticket = TAILQ_FIRST(&client->tickets);
	const struct call *call = ticket ? call_of(ticket) : NULL;
	const struct slot *slot = slot_of(call);
	char text[256];

	if (ticket)
		describe_wait(client, ticket, text, sizeof text);
	pair_text_or_nil(packer, "waits_for", ticket ? text : NULL);
	pair_seconds(packer, "waits_s", call ? client->core->now - call->began : 0);
	pack_text(packer, "waits_slot");
	if (slot)
		msgpack_pack_uint32(packer, slot->index);
	else
		msgpack_pack_nil(packer);
}

/* ---- a client ---- */

static uint32_t count_leases(const struct client *client)
{
	const struct lease *lease;
	uint32_t n = 0;

	TAILQ_FOREACH(lease, &client->leases, of_client)
		n += lease->state == LEASE_HELD;
	return n;
}

static uint32_t count_directs(const struct client *client)
{
	const struct direct *direct;
	uint32_t n = 0;

	TAILQ_FOREACH(direct, &client->directs, of_client)
		n += direct->slot != NULL;
	return n;
}

void clients_pack(const struct client *client, const struct client_facts *facts, msgpack_packer *packer)
{
	msgpack_pack_map(packer, 17);
	pair_number(packer, "session", client->id);
	pair_text(packer, "kind", facts->kind);
	pair_text_or_nil(packer, "user", facts->user);
	pair_text(packer, "by", facts->by);
	pair_text(packer, "peer", facts->peer);
	pair_text(packer, "name", client->name);
	pair_seconds(packer, "since_s", client->core->now - facts->since);
	pair_number(packer, "in_flight", client->inflight.count + client->notified);
	pair_number(packer, "pending", client->pending);
	pair_number(packer, "unsent", client->out.bytes);
	pair_number(packer, "memory", client->account->used);
	pair_number(packer, "calls", client->calls);
	pair_number(packer, "leases", count_leases(client));
	pair_number(packer, "direct", count_directs(client));
	pack_wait(client, packer);
}
