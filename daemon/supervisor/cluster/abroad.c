/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/cluster/abroad.h"

#include "daemon/supervisor/cluster/to_gateway.h"
#include "daemon/supervisor/connections/session_identity.h"
#include "daemon/supervisor/connections/session_reading.h"
#include "daemon/supervisor/log/log.h"
#include "proto/gateway_link.h"
#include "proto/pack.h"
#include "proto/scan.h"

#include <errno.h>
#include <stdlib.h>

enum {
	OUT_MAX = 4 << 20,      /* bytes for the gateway, over which clients that add to them are not read */
	OUT_ENOUGH = 1 << 20,   /* they are read again when it has so few */
	TAKEN_STEP = 128 << 10, /* bytes that a client has read before the gateway is told */
	POOL_SHOWN = 255,       /* bytes of a pool's name that errors have; a longer one is left out */
};

/* A request that the gateway has. */
struct errand {
	struct ticket ticket;
	struct abroad *abroad;
	uint64_t end;  /* where its message ends in what was ever written to the gateway */
	uint64_t size; /* counted in client->pending */
	uint32_t host;  /* where its target's host begins in `names` */
	uint32_t bytes; /* of this structure, with the names */
	char names[];   /* the pool and the host of its target; "": this is about several hosts */
};

/* What a request's target names. */
struct named {
	struct span pool, host; /* size 0: none, or "*" */
};

static struct cluster *cluster_of(const struct core *core)
{
	return container_of(core->remote, struct cluster, remote);
}

/* ---- one client ---- */

static void note_held(struct cluster *cluster, struct abroad *abroad, bool held)
{
	if (abroad->held == held)
		return;
	abroad->held = abroad->client->held = held;
	if (held)
		TAILQ_INSERT_TAIL(&cluster->held, abroad, held_link);
	else
		TAILQ_REMOVE(&cluster->held, abroad, held_link);
}

static void note_reading(struct cluster *cluster, struct abroad *abroad, bool reading)
{
	if (abroad->reading == reading)
		return;
	abroad->reading = reading;
	if (reading)
		TAILQ_INSERT_TAIL(&cluster->reading, abroad, reading_link);
	else
		TAILQ_REMOVE(&cluster->reading, abroad, reading_link);
}

static bool is_known(const struct cluster *cluster, const struct abroad *abroad)
{
	return link_is_open(cluster) && abroad->start == cluster->starts;
}

static void abroad_free(struct cluster *cluster, struct abroad *abroad)
{
	struct abroad **place = &abroad->client->abroad;

	while (*place != abroad)
		place = &(*place)->older;
	*place = abroad->older;
	if (is_known(cluster, abroad))
		to_gateway_close(cluster, abroad->number);
	note_held(cluster, abroad, false);
	note_reading(cluster, abroad, false);
	(void)idmap_remove(&cluster->by_number, abroad->number);
	TAILQ_REMOVE(&cluster->abroads, abroad, link);
	account_credit(abroad->client->account, sizeof *abroad);
	free(abroad->user);
	free(abroad);
}

static struct abroad *abroad_new(struct cluster *cluster, struct client *client, const char *user)
{
	struct abroad *abroad = calloc(1, sizeof *abroad);

	if (!abroad)
		return NULL;
	abroad->number = client->abroad ? ++client->core->last_client : client->id;
	abroad->user = user ? strdup(user) : NULL;
	if ((user && !abroad->user) || idmap_add(&cluster->by_number, abroad->number, abroad) < 0) {
		free(abroad->user);
		free(abroad);
		return NULL;
	}
	abroad->client = client;
	abroad->older = client->abroad;
	client->abroad = abroad;
	TAILQ_INSERT_TAIL(&cluster->abroads, abroad, link);
	account_charge(client->account, sizeof *abroad);
	return abroad;
}

/* NULL: it is nobody's user, or there are no users. */
static const char *user_of(const struct cluster *cluster, const struct client *client)
{
	return client->rights ? client->rights->user : cluster->daemon->users ? "root" : NULL;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Tells the gateway who the client is, unless it knows. */
static void introduce(struct cluster *cluster, struct abroad *abroad)
{
	const struct client *client = abroad->client;

	if (abroad->start == cluster->starts && abroad->form == client->error_form && strcmp(abroad->name, client->name) == 0)
		return;
	abroad->start = cluster->starts;
	abroad->form = client->error_form;
	snprintf(abroad->name, sizeof abroad->name, "%s", client->name);
	to_gateway_open(cluster, abroad->number, abroad->user, abroad->form, abroad->name);
}

/* The client as its present user. NULL: out of memory. */
static struct abroad *abroad_of(struct cluster *cluster, struct client *client)
{
	struct abroad *abroad = client->abroad;
	const char *user = user_of(cluster, client);

	if (!abroad || !same_text(abroad->user, user)) {
		struct abroad *before = abroad;
		if (!(abroad = abroad_new(cluster, client, user)))
			return NULL;
		if (before && before->errands == 0)
			abroad_free(cluster, before);
	}
	introduce(cluster, abroad);
	return abroad;
}

void abroad_leave(struct client *client)
{
	struct cluster *cluster = cluster_of(client->core);

	while (client->abroad)
		abroad_free(cluster, client->abroad);
}

/* ---- errands ---- */

static void hold_if_much(struct cluster *cluster, struct abroad *abroad)
{
	if (cluster->out.bytes > OUT_MAX)
		note_held(cluster, abroad, true);
}

/* The errand has been answered, or nobody waits for it. Its ticket is closed. */
static void errand_free(struct cluster *cluster, struct errand *errand, struct client *client)
{
	struct abroad *abroad = errand->abroad;

	client->pending -= errand->size;
	account_credit(client->account, errand->bytes);
	cluster->errands--;
	abroad->errands--;
	if (abroad->errands == 0 && client->abroad != abroad && !cluster->losing)
		abroad_free(cluster, abroad);
	free(errand);
}

static int check_message(const struct rpc *rpc, uint64_t size, struct error *error)
{
	const uint32_t levels = rpc->levels ? rpc->levels : 1 + scan_nesting(rpc->params.bytes, rpc->params.size);

	if (size > GATEWAY_RPC_MAX)
		error_say(error, ERROR_TOO_LARGE, RAN_NO, "the message is over %d bytes, which is all that other hosts are sent",
			  GATEWAY_RPC_MAX);
	else if (levels >= SCAN_STACK)
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "a value is nested deeper than %d levels, too deep for other hosts",
			  SCAN_LEVELS - 1);
	else
		return 0;
	return -EINVAL;
}

void abroad_tell(struct remote *remote, struct ticket *ticket, const struct rpc *rpc, struct block *block)
{
	struct cluster *cluster = container_of(remote, struct cluster, remote);
	struct abroad *abroad = container_of(ticket, struct errand, ticket)->abroad;
	struct error error;

	if (!is_known(cluster, abroad))
		return;
	if (rpc->levels > 0 && check_message(rpc, to_gateway_size(rpc, block), &error) < 0) {
		ticket->abandoned(ticket, &error);
		return;
	}
	to_gateway_message(cluster, abroad->number, rpc, block);
	hold_if_much(cluster, abroad);
}

void abroad_cancel(struct ticket *ticket)
{
	static const char name[] = "objpool.cancel";
	uint8_t params[1 + PACK_UINT] = {0x91};
	const struct span list = {.bytes = params, .size = (size_t)(pack_uint(params + 1, ticket->msgid) - params)};
	const struct rpc cancel = {.type = RPC_NOTIFICATION,
				   .method = {.bytes = (const uint8_t *)name, .size = sizeof name - 1},
				   .params = list};

	abroad_tell(ticket->client->core->remote, ticket, &cancel, NULL);
}

/* The ticket's `abandoned`. With a cause, as the input has ended that would feed it, the gateway is told to cancel it. */
static void on_abandoned(struct ticket *ticket, const struct error *cause)
{
	struct errand *errand = container_of(ticket, struct errand, ticket);
	struct client *client = errand->abroad->client;
	struct cluster *cluster = cluster_of(client->core);
	struct error error;

	if (cause) {
		abroad_cancel(ticket);
		error_copy(&error, cause);
		error.ran = RAN_MAYBE;
		ticket_answer_error(ticket, &error);
	}
	errand_free(cluster, errand, client);
}

/* The core has read the target, and found that it is one. */
static struct named named_by(const struct rpc *rpc)
{
	static const char prefix[] = "objpool.";
	const bool is_daemons = rpc->method.size > sizeof prefix && memcmp(rpc->method.bytes, prefix, sizeof prefix - 1) == 0;
	struct reader reader = reader_of(rpc->params);
	struct target target = {0};
	struct error error;
	struct span text;
	uint32_t count;

	const int r = !is_daemons ? target_parse(rpc->method, &target, &error)
		      : read_array(&reader, &count) < 0 || read_text(&reader, &text) < 0
			      ? -EINVAL
			      : target_parse_bare(text, &target, &error);
	if (r < 0)
		return (struct named){0};
	if (target_is_of_hosts(&target))
		target.host.size = 0;
	if (target.pool.size > POOL_SHOWN)
		target.pool.size = 0;
	return (struct named){.pool = target.pool, .host = target.host};
}

static int check_gateway(struct cluster *cluster, const struct rpc *rpc, struct error *error)
{
	if (link_is_open(cluster))
		return 0;
	error_say(error, ERROR_UNREACHABLE, RAN_NO, "objpool-gateway, by which other hosts are reached, does not run: %s",
		  cluster->ended[0] ? cluster->ended : "it is being started");
	const struct named named = named_by(rpc);
	(void)snprintf(cluster->unreachable, sizeof cluster->unreachable, "%.*s", SPAN_TEXT(named.host, GATEWAY_NAME_MAX));
	error->host = named.host.size ? cluster->unreachable : NULL;
	return -EINVAL;
}

static struct errand *errand_new(struct abroad *abroad, const struct rpc *rpc, uint64_t size)
{
	const struct named named = named_by(rpc);
	const size_t bytes = sizeof(struct errand) + named.pool.size + 1 + named.host.size + 1;
	struct errand *errand = calloc(1, bytes);

	if (!errand)
		return NULL;
	errand->abroad = abroad;
	errand->size = size;
	errand->host = (uint32_t)named.pool.size + 1;
	errand->bytes = (uint32_t)bytes;
	if (named.pool.size)
		memcpy(errand->names, named.pool.bytes, named.pool.size);
	if (named.host.size)
		memcpy(errand->names + errand->host, named.host.bytes, named.host.size);
	return errand;
}

/* Opens the ticket. 0, -EEXIST or -ENOMEM. */
static int errand_begin(struct cluster *cluster, struct abroad *abroad, const struct rpc *rpc, uint64_t size,
			struct errand **begun)
{
	struct client *client = abroad->client;
	struct errand *errand = errand_new(abroad, rpc, size);
	const int r = errand ? ticket_open(&errand->ticket, client, rpc, on_abandoned) : -ENOMEM;

	if (r < 0) {
		free(errand);
		return r;
	}
	errand->ticket.remote = true;
	client->pending += size;
	account_charge(client->account, errand->bytes);
	cluster->errands++;
	cluster->calls++;
	abroad->errands++;
	*begun = errand;
	return 0;
}

int abroad_send(struct remote *remote, struct client *client, const struct rpc *rpc, struct block *block, bool fed,
		struct error *error)
{
	struct cluster *cluster = container_of(remote, struct cluster, remote);
	const uint64_t size = to_gateway_size(rpc, block);
	struct errand *errand = NULL;

	if (check_gateway(cluster, rpc, error) < 0 || check_message(rpc, size, error) < 0)
		return -EINVAL;
	struct abroad *abroad = abroad_of(cluster, client);
	const int r = !abroad ? -ENOMEM : rpc->type == RPC_REQUEST ? errand_begin(cluster, abroad, rpc, size, &errand) : 0;
	if (r == -ENOMEM)
		error_no_memory(error, RAN_NO);
	if (r < 0)
		return r == -EEXIST ? r : -EINVAL;
	to_gateway_message(cluster, abroad->number, rpc, block);
	if (errand) {
		errand->ticket.fed = fed;
		errand->end = cluster->written;
	}
	hold_if_much(cluster, abroad);
	return 0;
}

/* ---- what the gateway sends ---- */

/* The errand of that msgid, if it was sent under that number. NULL: there is none any more. */
static struct errand *find_errand(const struct abroad *abroad, uint64_t msgid)
{
	struct ticket *ticket = msgid <= UINT32_MAX ? idmap_get(&abroad->client->inflight, msgid) : NULL;
	struct errand *errand = ticket && ticket->remote ? container_of(ticket, struct errand, ticket) : NULL;

	return errand && errand->abroad == abroad ? errand : NULL;
}

static void give(struct cluster *cluster, struct abroad *abroad, struct span message, struct block *block)
{
	struct client *client = abroad->client;

	sendq_span(&client->out, client_claim(client, block, message.size), message.bytes, message.size);
	abroad->unread += message.size;
	note_reading(cluster, abroad, abroad->unread >= TAKEN_STEP);
}

/* 0, or -ENOENT: nobody waits for it. */
static int on_response(struct cluster *cluster, struct abroad *abroad, const struct rpc *rpc, struct span message,
		       struct block *block)
{
	struct client *client = abroad->client;
	struct errand *errand = find_errand(abroad, rpc->msgid);

	if (!errand)
		return -ENOENT;
	give(cluster, abroad, message, block);
	ticket_detach(&errand->ticket);
	errand_free(cluster, errand, client);
	client_wrote(client);
	return 0;
}

static bool is_of_streams(struct span method)
{
	return span_is(method, "objpool.result") || span_is(method, "objpool.results") || span_is(method, "objpool.progress") ||
	       span_is(method, "objpool.credit");
}

/* Likewise: [msgid, ...]. */
static int on_notification(struct cluster *cluster, struct abroad *abroad, const struct rpc *rpc, struct span message,
			   struct block *block)
{
	struct reader reader = reader_of(rpc->params);
	uint64_t msgid;
	uint32_t n;

	if (!is_of_streams(rpc->method) || read_array(&reader, &n) < 0 || n < 1 || read_uint(&reader, &msgid) < 0 ||
	    abroad->client->internal || !find_errand(abroad, msgid))
		return -ENOENT;
	give(cluster, abroad, message, block);
	client_wrote(abroad->client);
	return 0;
}

int abroad_on_message(struct cluster *cluster, uint64_t number, struct span message, struct block *block)
{
	struct abroad *abroad = idmap_get(&cluster->by_number, number);
	struct rpc rpc = {0};
	int r = -ENOENT;

	if (rpc_parse(message, &rpc) < 0 || rpc.type == RPC_REQUEST)
		return -EBADMSG;
	if (abroad && rpc.type == RPC_RESPONSE)
		r = on_response(cluster, abroad, &rpc, message, block);
	else if (abroad)
		r = on_notification(cluster, abroad, &rpc, message, block);
	cluster->dropped += r < 0;
	return 0;
}

/* ---- its end, and the turn's ---- */

/* HOST_LOST of the host that the call names; or of this host, whose gateway it was. What has not left the queue whole has not
 * run. */
static void answer_lost(struct cluster *cluster, struct errand *errand, const char *how)
{
	struct client *client = errand->abroad->client;
	const char *host = errand->names + errand->host;
	const bool sent = cluster->written - cluster->out.bytes >= errand->end;
	struct error error;

	error_say(&error, ERROR_HOST_LOST, sent ? RAN_MAYBE : RAN_NO,
		  "objpool-gateway, by which the call went to other hosts, %s; %s", how,
		  sent ? "the call may have run" : "the call was not sent");
	error.pool = errand->names[0] ? errand->names : NULL;
	error.host = *host ? host : cluster->daemon->config.cluster.name;
	cluster->lost++;
	ticket_answer_error(&errand->ticket, &error);
	errand_free(cluster, errand, client);
}

static void lose_errands(struct cluster *cluster, const struct client *client, const char *how)
{
	struct ticket *ticket, *next;

	for (ticket = TAILQ_FIRST(&client->tickets); ticket; ticket = next) {
		next = TAILQ_NEXT(ticket, link);
		if (ticket->remote)
			answer_lost(cluster, container_of(ticket, struct errand, ticket), how);
	}
}

static void release(struct cluster *cluster)
{
	struct abroad *abroad;

	while ((abroad = TAILQ_FIRST(&cluster->held))) {
		struct client *client = abroad->client;
		note_held(cluster, abroad, false);
		if (!client->internal && !client->is_one_call)
			session_resume(container_of(client, struct session, client));
	}
}

void abroad_on_gateway_gone(struct cluster *cluster, const char *how)
{
	struct abroad *abroad, *next;

	cluster->losing = true;
	TAILQ_FOREACH(abroad, &cluster->abroads, link)
		lose_errands(cluster, abroad->client, how);
	cluster->losing = false;
	for (abroad = TAILQ_FIRST(&cluster->abroads); abroad; abroad = next) {
		next = TAILQ_NEXT(abroad, link);
		abroad->unread = 0;
		note_reading(cluster, abroad, false);
		if (abroad->client->abroad != abroad)
			abroad_free(cluster, abroad);
	}
	release(cluster);
}

static void tell_taken(struct cluster *cluster)
{
	struct abroad *abroad, *next;

	for (abroad = TAILQ_FIRST(&cluster->reading); abroad; abroad = next) {
		next = TAILQ_NEXT(abroad, reading_link);
		const uint64_t waiting = abroad->client->out.bytes;
		const uint64_t taken = abroad->unread > waiting ? abroad->unread - waiting : 0;
		if (taken < TAKEN_STEP)
			continue;
		to_gateway_taken(cluster, abroad->number, taken);
		abroad->unread -= taken;
		note_reading(cluster, abroad, abroad->unread >= TAKEN_STEP);
	}
}

void abroad_end_turn(struct cluster *cluster)
{
	if (!TAILQ_EMPTY(&cluster->reading) && link_is_open(cluster))
		tell_taken(cluster);
	if (!TAILQ_EMPTY(&cluster->held) && cluster->out.bytes <= OUT_ENOUGH)
		release(cluster);
}

void abroad_forget_all(struct cluster *cluster)
{
	struct abroad *abroad;

	while ((abroad = TAILQ_FIRST(&cluster->abroads)))
		abroad_free(cluster, abroad);
}

/* The client's requests count for its user where it has made them: not once more here. 0 or -ENOMEM. */
static int rights_without_quota(const struct rights *from, struct rights **rights)
{
	*rights = from ? rights_copy(from) : NULL;
	if (*rights)
		rights_set_quota(*rights, NULL);
	return from && !*rights ? -ENOMEM : 0;
}

int abroad_find(const struct cluster *cluster, uint64_t number, struct users *users, struct known *known, struct rights **rights)
{
	const struct abroad *abroad = idmap_get(&cluster->by_number, number);
	const struct client *client = abroad ? abroad->client : NULL;

	if (!client)
		return -ENOENT;
	if (client->internal || client->is_one_call)
		return rights_without_quota(client->rights, rights);
	struct rights *found;
	const int r = session_identity_find(container_of(client, const struct session, client), users, known, &found);
	if (r < 0)
		return r;
	const int copied = rights_without_quota(found, rights);
	rights_unref(found);
	return copied;
}
