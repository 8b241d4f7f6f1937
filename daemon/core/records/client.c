/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/client.h"

#include "proto/pack.h"
#include "proto/payload_ref.h"

#include <errno.h>

void client_init(struct client *client, struct core *core)
{
	client_init_own(client, core);
	client->id = ++core->last_client;
	client->account = client->out.account = account_new(&core->memory);
}

void client_init_own(struct client *client, struct core *core)
{
	*client = (struct client){.core = core, .account = &core->memory, .out.account = &core->memory};
	TAILQ_INIT(&client->tickets);
	TAILQ_INIT(&client->notifications);
	TAILQ_INIT(&client->flows);
	TAILQ_INIT(&client->yielding);
	TAILQ_INIT(&client->leases);
	TAILQ_INIT(&client->directs);
}

void client_count_lease(struct client *client, bool comes)
{
	client->lease_count = comes ? client->lease_count + 1 : client->lease_count - 1;
	if (client->quota)
		client->quota->leases = comes ? client->quota->leases + 1 : client->quota->leases - 1;
}

/* What the client has counts for another quota. */
static void change_quota(struct client *client, struct quota *quota)
{
	const uint32_t inflight = client->inflight.count + client->notified;

	const bool is_connected = !client->hung_up;

	if (client->quota) {
		client->quota->connections -= is_connected;
		client->quota->sessions -= client->entered;
		client->quota->inflight -= inflight;
		client->quota->leases -= client->lease_count;
	}
	if (quota) {
		quota->connections += is_connected;
		quota->sessions += client->entered;
		quota->inflight += inflight;
		quota->leases += client->lease_count;
	}
	account_move(client->account, quota ? quota->account : &client->core->memory);
	client->quota = quota;
}

int client_enter(struct client *client, struct error *error)
{
	if (client->entered || client->hung_up)
		return 0;
	if (client->quota && quota_check_session(client->quota, error) < 0)
		return -EBUSY;
	client->entered = true;
	if (client->quota)
		client->quota->sessions++;
	return 0;
}

void client_exit(struct client *client)
{
	if (client->quota) {
		client->quota->connections--;
		client->quota->sessions -= client->entered;
	}
	client->entered = false;
}

void client_set_rights(struct client *client, struct rights *rights)
{
	struct quota *quota = rights && !client->internal ? rights->quota : NULL;

	if (client->rights == rights)
		return;
	client->memo.epoch = 0; /* it remembers what the rights before have allowed */
	if (client->quota != quota)
		change_quota(client, quota);
	rights_set(&client->rights, rights);
}

bool client_accepts(const struct client *client)
{
	const struct core_limits *limits = &client->core->limits;
	return !client->held && client->out.bytes <= limits->max_unsent && client->inflight.count + client->notified < limits->max_inflight &&
	       client->pending <= limits->max_pending && (client->refused || !client_is_greedy(client));
}

void ticket_detach(struct ticket *ticket)
{
	struct client *client = ticket->client;

	if (ticket->notification) {
		TAILQ_REMOVE(&client->notifications, ticket, link);
		client->notified--;
	} else {
		TAILQ_REMOVE(&client->tickets, ticket, link);
		idmap_remove(&client->inflight, ticket->msgid);
	}
	if (client->quota)
		client->quota->inflight--;
	ticket->client = NULL;
}

void client_abandon(const struct ticket_list *tickets)
{
	struct ticket *ticket;

	while ((ticket = TAILQ_FIRST(tickets))) {
		ticket_detach(ticket);
		ticket->abandoned(ticket, NULL);
	}
}

void client_on_input_end(struct client *client)
{
	struct ticket *ticket, *next;
	struct error error;

	for (ticket = TAILQ_FIRST(&client->tickets); ticket; ticket = next) {
		next = TAILQ_NEXT(ticket, link);
		if (!ticket->fed)
			continue;
		error_say(&error, ERROR_CANCELLED, RAN_NO, "the connection's input ended before objpool.feed_end");
		ticket->abandoned(ticket, &error);
	}
}

bool client_has_unread(const struct client *client, uint64_t limit)
{
	return client->out.bytes > limit || (client_is_greedy(client) && client->out.bytes > client->account->used / 2);
}

void client_wrote(struct client *client)
{
	if (!client->internal && client_has_unread(client, client->core->limits.max_unsent))
		client->stalled = true; /* its flows have no turns from now on: see queue_next */
	if (client->wrote)
		client->wrote(client);
	else if (!client->internal)
		client->core->ops->client_wrote(client);
}

void client_count_calls(struct client *client, uint32_t count)
{
	client->calls += count;
	if (client->counter)
		*client->counter += count;
	if (client->quota)
		client->quota->calls += count;
}

int ticket_open(struct ticket *ticket, struct client *client, const struct rpc *rpc,
		void (*abandoned)(struct ticket *, const struct error *))
{
	ticket->client = NULL;
	ticket->fed = ticket->remote = false;
	ticket->notification = rpc->type == RPC_NOTIFICATION;
	ticket->msgid = ticket->notification ? 0 : rpc->msgid;
	ticket->abandoned = abandoned;
	if (!ticket->notification) {
		const int r = idmap_add(&client->inflight, ticket->msgid, ticket);
		if (r < 0)
			return r;
	}
	ticket->client = client;
	client->notified += ticket->notification;
	if (client->quota)
		client->quota->inflight++;
	TAILQ_INSERT_TAIL(ticket->notification ? &client->notifications : &client->tickets, ticket, link);
	return 0;
}

/* [1, msgid, with or without the nil of "no error". `more` bytes follow. */
static void put_head(struct sendq *out, uint32_t msgid, bool no_error, size_t more)
{
	uint8_t *p = sendq_reserve_with(out, 3 + PACK_UINT, more);
	if (!p)
		return;
	uint8_t *end = p;
	*end++ = 0x94;
	*end++ = RPC_RESPONSE;
	end = pack_uint(end, msgid);
	if (no_error)
		end = pack_nil(end);
	sendq_commit(out, (size_t)(end - p));
}

static void put_nil(struct sendq *out)
{
	uint8_t *p = sendq_reserve(out, 1);
	if (p)
		sendq_commit(out, (size_t)(pack_nil(p) - p));
}

static struct sendq *put_value_head(struct ticket *ticket, size_t size)
{
	if (!ticket->client || ticket->notification)
		return NULL;
	put_head(&ticket->client->out, ticket->msgid, true, size);
	return &ticket->client->out;
}

struct sendq *ticket_value(struct ticket *ticket)
{
	return put_value_head(ticket, 0);
}

void ticket_close(struct ticket *ticket)
{
	struct client *client = ticket->client;
	if (!client)
		return;
	ticket_detach(ticket);
	client_wrote(client);
}

/* May the client have the descriptor of the block's file? It can read all that was ever written there, and keep it for ever. */
static bool may_have(const struct client *client, const struct block *block, struct span value)
{
	const struct core_limits *limits = &client->core->limits;

	if (!client->fds || !block || block->fd < 0 || client->kept.waiting + client->kept.count >= CLIENT_KEPT)
		return false;
	if (client->kept.bytes + block->capacity > limits->max_pending || !account_may_keep(client->account))
		return false;
	const size_t end = (size_t)(value.bytes + value.size - block->bytes);
	return block->shown_to == client->id || (!block->shown_to && (block->touched <= end || block->filled_for == client->id));
}

/* Finds the bytes of a bin or ext, and its kind, as payload_ref has it. -EINVAL: the value is neither. */
static int large_bytes(struct span value, struct span *bytes, uint32_t *kind)
{
	struct reader reader = reader_of(value);
	int8_t type = 0;

	const int r = read_bytes(&reader, bytes);
	if (r < 0 && read_ext(&reader, &type, bytes) < 0)
		return -EINVAL;
	*kind = r == 0 ? 0 : PAYLOAD_EXT | (uint8_t)type;
	return reader.p == reader.end ? 0 : -EINVAL;
}

struct block *client_claim(struct client *client, struct block *block, size_t size)
{
	if (!block || !client || !block->account || block->account == client->account)
		return block;
	if (block->fd < 0 && 2 * size < block->charged)
		return NULL;
	block_move(block, client->account);
	return block;
}

void client_say_greedy(struct client *client, enum ran ran, struct error *error)
{
	const struct account *all = account_pressed_by(client->account);
	const bool by_user = client->quota && all == client->quota->account;

	all = all ? all : &client->core->memory;
	client->core->memory_refused++;
	error_say(error, ERROR_OVERLOADED, ran,
		  "%s%.64s holds %llu bytes, over max_memory = %llu, and this session has %llu of them: more than its share",
		  by_user ? "user " : "the daemon", by_user ? client->quota->name : "", (unsigned long long)all->used,
		  (unsigned long long)all->limit, (unsigned long long)client->account->used);
	if (!by_user)
		return;
	client->quota->overloaded++;
	error->user = client->quota->name;
}

void client_put_value(struct client *client, struct sendq *out, struct block *block, struct span value)
{
	uint8_t bytes[PAYLOAD_REF];
	struct span large;
	uint32_t kind;

	if (!client || !may_have(client, block, value) || large_bytes(value, &large, &kind) < 0 ||
	    large.size < client->core->limits.payload_min) {
		sendq_span(out, block, value.bytes, value.size);
		return;
	}
	block->shown_to = client->id;
	out->kept = client->out.kept; /* also where results are gathered: they count before they are answered */
	sendq_pass(out, block);
	payload_write_ref(bytes, PAYLOAD_BYTES, (struct payload_ref){.file = client->fds_mark, .kind = kind, .length = large.size,
								     .offset = (uint64_t)(large.bytes - block->bytes)});
	sendq_copy(out, bytes, sizeof bytes);
}

void ticket_answer_span(struct ticket *ticket, struct block *block, struct span value)
{
	struct client *client = ticket->client;
	struct sendq *out = put_value_head(ticket, value.size);
	if (out)
		client_put_value(client, out, block, value);
	ticket_close(ticket);
}

struct sendq *ticket_error(struct ticket *ticket)
{
	if (!ticket->client || ticket->notification)
		return NULL;
	put_head(&ticket->client->out, ticket->msgid, false, 0);
	return &ticket->client->out;
}

void ticket_close_error(struct ticket *ticket)
{
	if (ticket->client && !ticket->notification)
		put_nil(&ticket->client->out);
	ticket_close(ticket);
}

void ticket_answer_error(struct ticket *ticket, const struct error *error)
{
	struct sendq *out = ticket_error(ticket);
	if (out)
		error_pack(error, ticket->client->error_form, out);
	ticket_close_error(ticket);
}

void ticket_on_abandoned(struct ticket *ticket, const struct error *cause)
{
	if (cause) {
		struct error error = *cause;
		error.message.bytes = (const uint8_t *)error.text;
		ticket_answer_error(ticket, &error);
	}
}

void ticket_answer_packed(struct ticket *ticket, struct sendq *packed)
{
	struct sendq *out = ticket_value(ticket);

	if (out)
		sendq_move(out, packed);
	sendq_clear(packed);
	ticket_close(ticket);
}

void client_answer_error(struct client *client, uint32_t msgid, const struct error *error)
{
	if (client->hung_up)
		return;
	put_head(&client->out, msgid, false, 0);
	error_pack(error, client->error_form, &client->out);
	put_nil(&client->out);
	client_wrote(client);
}
