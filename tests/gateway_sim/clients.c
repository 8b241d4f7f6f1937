/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clients: the clients of a node's daemon, and the supervisor's side of them. Each request that goes to the gateway is remembered
 * until its answer comes: exactly one, its own (it echoes the token), and true in what it says of whether the call ran.
 */
#include "gateway/core/channel.h"
#include "tests/gateway_sim/world.h"

#include <stdlib.h>

enum { CLIENTS = 3, IN_FLIGHT_MAX = 24, FED_MAX = 40, LARGE = 300 << 10 };

enum kind { ANY, NAMED, SLOT, KEY, ALL_OF_ONE, FED_OF_ONE, LEASE, RELEASE, CANCEL_REQUEST, ALL, SCATTER, MAP, FED, KINDS };

struct question {
	TAILQ_ENTRY(question) entry;
	uint32_t msgid;
	enum kind kind;
	uint32_t token, count;      /* count: of tokens */
	int host;                   /* the node's number; -1: any */
	unsigned slot, size, sends; /* size: bytes of the answer; sends: of an argument that nobody looks at */
	bool sticky, plain; /* plain: "p", of the section [remote p] */
	bool fails, cancelled, timed, idempotent, streams, ordered, collects, first, labels, runs;
	bool sync, keyed; /* in rounds; with a keyword beside the items */
	uint32_t fed, credit, next, heard, failures; /* fed: items that were; next: index of the next result, if in order */
	bool ended;
	uint8_t *seen; /* of each item of a stream: it has come */
};

struct client {
	uint64_t sid;
	enum error_form form;
	bool open;
	uint32_t last_msgid;
	uint64_t untaken;
	TAILQ_HEAD(, question) questions;
	unsigned in_flight;
};

struct clients_of_node {
	struct node *node;
	struct world *world;
	struct client clients[CLIENTS];
	uint64_t last_sid;
};

static void node_name(unsigned number, char name[8])
{
	(void)snprintf(name, 8, "h%u", number % 10);
}

/* ---- questions ---- */

static struct sendq begin(enum to_gateway kind, uint64_t sid, uint32_t parts)
{
	struct sendq to = {0};

	put_array(&to, parts);
	put_uint(&to, kind);
	put_uint(&to, sid);
	return to;
}

static void open_client(struct clients_of_node *clients, struct client *client)
{
	static const char *const forms[] = {"string", "map", "pair"}; /* as enum error_form */
	struct sendq to;

	if (client->open)
		return;
	client->open = true;
	client->sid = ++clients->last_sid;
	client->untaken = 0;
	client->form = world_one_in(clients->world, 3) ? (enum error_form)world_dice(clients->world, ERROR_FORMS) : ERRORS_AS_MAP;
	to = begin(TO_GATEWAY_OPEN, client->sid, 3);
	put_map(&to, 3);
	put_text(&to, "user");
	if (world_one_in(clients->world, 2))
		put_nil(&to);
	else
		put_text(&to, "alice");
	put_text(&to, "errors");
	put_text(&to, forms[client->form]);
	put_text(&to, "client");
	put_text(&to, "played");
	node_tell(clients->node, &to);
}

static void put_request(struct sendq *to, const struct question *question, const char *method)
{
	put_array(to, 4);
	put_uint(to, RPC_REQUEST);
	put_uint(to, question->msgid);
	put_text(to, method);
}

static void target_of(const struct question *question, char target[64])
{
	static const char *const selectors[KINDS] = {[ALL_OF_ONE] = ":all",  [FED_OF_ONE] = ":map", [ALL] = ":all",
						     [SCATTER] = ":scatter", [MAP] = ":map",        [FED] = ":map"};
	char host[8] = "*", selector[32] = "";

	if (question->host >= 0)
		node_name((unsigned)question->host, host);
	if (question->kind == SLOT)
		(void)snprintf(selector, sizeof selector, ":%u", question->slot);
	else if (question->kind == KEY)
		(void)snprintf(selector, sizeof selector, ":key=%c", 'a' + (char)(question->token % 16));
	else if (selectors[question->kind])
		(void)snprintf(selector, sizeof selector, "%s", selectors[question->kind]);
	if (question->plain)
		(void)snprintf(target, 64, "p%s", selector);
	else
		(void)snprintf(target, 64, "p@%s%s", host, selector);
}

static void put_items(struct sendq *to, const struct question *question)
{
	put_array(to, question->count);
	for (uint32_t i = 0; i < question->count; i++)
		put_uint(to, question->token + i);
}

static void put_blob(struct sendq *to, unsigned size)
{
	if (size == 0)
		return;
	uint8_t head[5] = {BYTE_BIN32}, *bytes = calloc(1, size);
	(void)pack_be32(head + 1, size);
	sendq_copy(to, head, 5);
	sendq_copy(to, bytes, size);
	free(bytes);
}

/* kwargs {"k": the items} */
static void put_keyed(struct sendq *to, const struct question *question)
{
	put_text(to, "kwargs");
	put_map(to, 1);
	put_text(to, "k");
	put_items(to, question);
}

static void put_args(struct sendq *to, const struct question *question)
{
	if (question->kind == FED || question->kind == FED_OF_ONE) {
		put_nil(to);
	} else if (question->kind == MAP || question->kind == SCATTER) {
		put_array(to, 1);
		put_items(to, question);
	} else {
		put_array(to, question->sends ? 3 : question->size ? 2 : 1);
		put_uint(to, question->token);
		if (question->size || question->sends)
			put_uint(to, question->size);
		put_blob(to, question->sends);
	}
}

static void put_flag(struct sendq *to, const char *name, bool value)
{
	put_text(to, name);
	put_bool(to, value);
}

static void put_options(struct sendq *to, struct world *world, const struct question *question)
{
	put_map(to, 0u + question->timed + question->idempotent + question->streams + !question->ordered +
			    (question->collects || question->first) + question->labels + question->sticky +
			    question->sync + question->keyed);
	if (question->timed) {
		put_text(to, "timeout_ms");
		put_uint(to, world_dice(world, 3) ? world_dice(world, 1000) : 5000);
	}
	if (question->idempotent)
		put_flag(to, "idempotent", true);
	if (question->streams) {
		put_text(to, "stream");
		if (question->runs)
			put_text(to, "runs");
		else
			put_bool(to, true);
	}
	if (!question->ordered)
		put_flag(to, "ordered", false);
	if (question->collects || question->first) {
		put_text(to, "errors");
		put_text(to, question->collects ? "collect" : "first");
	}
	if (question->labels)
		put_flag(to, "labels", true);
	if (question->sticky) {
		put_text(to, "sticky");
		put_text(to, "replace");
	}
	if (question->sync)
		put_flag(to, "sync", true);
	if (question->keyed)
		put_keyed(to, question);
}

static void write_question(struct clients_of_node *clients, struct client *client, struct question *question)
{
	struct sendq to = begin(TO_GATEWAY_MESSAGE, client->sid, 3);
	const char *method = question->fails ? "fail" : "echo";
	char target[64];

	target_of(question, target);
	if (question->kind == LEASE || question->kind == RELEASE) {
		put_request(&to, question, question->kind == LEASE ? "objpool.lease" : "objpool.release");
		put_array(&to, 1);
		put_text(&to, target);
	} else if (question->kind <= ALL_OF_ONE && !question->timed && !question->idempotent && !question->collects &&
		   question->ordered && !question->streams && !question->labels && world_one_in(clients->world, 2)) {
		char plain[80];
		(void)snprintf(plain, sizeof plain, "%s.%s", target, method);
		put_request(&to, question, plain);
		put_args(&to, question);
	} else {
		put_request(&to, question, "objpool.call");
		put_array(&to, 4);
		put_text(&to, target);
		put_text(&to, method);
		put_args(&to, question);
		put_options(&to, clients->world, question);
	}
	node_tell(clients->node, &to);
}

static unsigned all_slots(const struct world *world)
{
	unsigned n = 0;

	for (unsigned i = 0; i < world->node_count; i++)
		n += world->nodes[i].daemon ? daemon_slots(world->nodes[i].daemon) : 0;
	return n;
}

static enum kind pick_kind(struct world *world)
{
	static const uint8_t shares[KINDS] = {
		[ANY] = 30,  [NAMED] = 14,  [SLOT] = 10, [KEY] = 8,     [ALL_OF_ONE] = 5, [FED_OF_ONE] = 4,
		[LEASE] = 3, [RELEASE] = 3, [ALL] = 8,   [SCATTER] = 4, [MAP] = 8,        [FED] = 5};
	uint32_t dice = world_dice(world, 102);
	unsigned kind = 0;

	while (kind < KINDS - 1 && dice >= shares[kind])
		dice -= shares[kind++];
	return (enum kind)kind;
}

static bool is_many(enum kind kind)
{
	return kind == ALL || kind == SCATTER || kind == MAP || kind == FED || kind == FED_OF_ONE || kind == ALL_OF_ONE;
}

static void pick_count(struct world *world, struct question *question)
{
	question->count = 1;
	if (question->kind == MAP)
		question->count = world_one_in(world, 10) ? 0 : world_dice(world, world_one_in(world, 8) ? 300 : 30);
	else if (question->kind == FED || question->kind == FED_OF_ONE)
		question->count = world_dice(world, FED_MAX);
	else if (question->kind == SCATTER)
		question->count = world_one_in(world, 8) ? world_dice(world, 8) : all_slots(world);
}

static void begin_question(struct clients_of_node *clients, struct client *client, struct question *question)
{
	struct world *world = clients->world;

	for (uint32_t i = 0; i < question->count + 1; i++) {
		struct token *token = &world->tokens[question->token + i];
		token->idempotent = question->idempotent;
		token->sticky = question->sticky;
		token->runs_on_all = question->kind == ALL || question->kind == ALL_OF_ONE;
	}
	question->seen = calloc(1, 256 + question->count);
	TAILQ_INSERT_TAIL(&client->questions, question, entry);
	client->in_flight++;
	world->calls++;
	world_say(world, "%s: client %llu asks %u, kind %u, token %u +%u", clients->node->name, (unsigned long long)client->sid,
		  question->msgid, question->kind, question->token, question->count);
	write_question(clients, client, question);
}

static void ask(struct clients_of_node *clients, struct client *client, enum kind kind)
{
	struct world *world = clients->world;
	struct question *question = calloc(1, sizeof *question);

	open_client(clients, client);
	question->kind = kind;
	question->msgid = ++client->last_msgid;
	question->ordered = true;
	question->host = -1;
	if (question->kind >= NAMED && question->kind <= RELEASE && question->kind != KEY)
		question->host = (int)world_dice(world, world->flavour.calm ? world->node_count : world->node_count + 1);
	question->plain = question->host < 0 && kind != LEASE && clients->node->remote && world_one_in(world, 2);
	question->slot = world_dice(world, SLOTS_MAX);
	pick_count(world, question);
	question->token = world_tokens(world, question->count + 1);
	question->fails = world_one_in(world, 12);
	question->size =
		world->flavour.large && !is_many(question->kind) && world_one_in(world, 6) ? world_dice(world, LARGE) : 0;
	question->sends = world->flavour.large && question->kind <= ALL && world_one_in(world, 6) ? world_dice(world, LARGE) : 0;
	if (question->kind != LEASE && question->kind != RELEASE) {
		question->timed = world_one_in(world, 8);
		question->idempotent = world_one_in(world, 5);
	}
	if (is_many(question->kind)) {
		question->streams = question->kind == FED || question->kind == FED_OF_ONE || world_one_in(world, 3);
		question->ordered = !question->streams || !world_one_in(world, 2);
		question->collects = world_one_in(world, 3);
		question->first = !question->collects && world_one_in(world, 4);
		question->runs = question->streams && world_one_in(world, 3);
		question->labels = (question->kind == ALL || question->kind == SCATTER) && world_one_in(world, 3);
	}
	question->sticky = question->kind == ALL && world_one_in(world, 5);
	question->sync = (question->kind == MAP || question->kind == FED) && world_one_in(world, 3);
	question->keyed = (question->kind == MAP || question->kind == SCATTER) && world_one_in(world, 4);
	begin_question(clients, client, question);
}

/* A map of `count` items, as plain as can be: the token of the first. */
uint32_t clients_ask_map(struct clients_of_node *clients, uint32_t count)
{
	struct client *client = &clients->clients[0];
	struct question *question = calloc(1, sizeof *question);

	open_client(clients, client);
	question->kind = MAP;
	question->msgid = ++client->last_msgid;
	question->ordered = true;
	question->host = -1;
	question->count = count;
	question->token = world_tokens(clients->world, count + 1);
	begin_question(clients, client, question);
	return question->token;
}

static void notify(struct clients_of_node *clients, struct client *client)
{
	const uint32_t token = world_tokens(clients->world, 1);

	open_client(clients, client);
	struct sendq to = begin(TO_GATEWAY_MESSAGE, client->sid, 3);
	put_array(&to, 3);
	put_uint(&to, RPC_NOTIFICATION);
	put_text(&to, "p@*.echo");
	put_array(&to, 1);
	put_uint(&to, token);
	node_tell(clients->node, &to);
}

static void cancel(struct clients_of_node *clients, struct client *client)
{
	struct question *question = TAILQ_FIRST(&client->questions);

	for (uint32_t n = world_dice(clients->world, 4); question && n > 0; n--)
		question = TAILQ_NEXT(question, entry);
	if (!question)
		return;
	question->cancelled = true;
	world_say(clients->world, "%s: client %llu cancels %u", clients->node->name, (unsigned long long)client->sid,
		  question->msgid);
	struct sendq to = begin(TO_GATEWAY_MESSAGE, client->sid, 3);
	put_array(&to, 3);
	put_uint(&to, RPC_NOTIFICATION);
	put_text(&to, "objpool.cancel");
	put_array(&to, 1);
	put_uint(&to, question->msgid);
	node_tell(clients->node, &to);
}

static void feed_some(struct clients_of_node *clients, struct client *client)
{
	struct world *world = clients->world;
	struct question *question;

	TAILQ_FOREACH(question, &client->questions, entry) {
		if ((question->kind != FED && question->kind != FED_OF_ONE) || question->ended)
			continue;
		const uint32_t left = question->count - question->fed;
		uint32_t n = left < question->credit ? left : question->credit;
		n = n ? 1 + world_dice(world, n) : 0;
		struct sendq to = begin(TO_GATEWAY_MESSAGE, client->sid, 3);
		put_array(&to, 3);
		put_uint(&to, RPC_NOTIFICATION);
		put_text(&to, left == 0 ? "objpool.feed_end" : "objpool.feed");
		put_array(&to, left == 0 ? 1 : 2);
		put_uint(&to, question->msgid);
		if (left == 0) {
			question->ended = true;
		} else if (n == 0) {
			sendq_clear(&to);
			continue;
		} else {
			put_array(&to, n);
			for (uint32_t i = 0; i < n; i++)
				put_uint(&to, question->token + question->fed++);
			question->credit -= n;
		}
		node_tell(clients->node, &to);
	}
}

void clients_act(struct clients_of_node *clients)
{
	struct world *world = clients->world;
	struct client *client = &clients->clients[world_dice(world, CLIENTS)];
	const uint32_t dice = world_dice(world, 100);

	if (!clients->node->gateway || clients->node->stalled_until)
		return;
	if (dice < 70 && client->in_flight < IN_FLIGHT_MAX)
		ask(clients, client, pick_kind(world));
	else if (dice < 75)
		notify(clients, client);
	else if (dice < 82)
		cancel(clients, client);
	else
		feed_some(clients, client);
}

void clients_ask_any(struct clients_of_node *clients)
{
	static const enum kind kinds[] = {ANY, KEY, MAP, FED};
	struct client *client = &clients->clients[world_dice(clients->world, CLIENTS)];

	if (clients->node->gateway)
		ask(clients, client, kinds[world_dice(clients->world, 4)]);
}

static void close_client(struct clients_of_node *clients, struct client *client, bool tell)
{
	while (!TAILQ_EMPTY(&client->questions)) {
		struct question *question = TAILQ_FIRST(&client->questions);
		TAILQ_REMOVE(&client->questions, question, entry);
		free(question->seen);
		free(question);
	}
	client->in_flight = 0;
	if (!client->open)
		return;
	client->open = false;
	if (!tell)
		return;
	struct sendq to = begin(TO_GATEWAY_CLOSE, client->sid, 2);
	node_tell(clients->node, &to);
}

void clients_leave(struct clients_of_node *clients)
{
	struct client *client = &clients->clients[world_dice(clients->world, CLIENTS)];

	if (clients->node->stalled_until)
		return;
	world_say(clients->world, "%s: client %llu leaves", clients->node->name, (unsigned long long)client->sid);
	close_client(clients, client, true);
}

void clients_close_all(struct clients_of_node *clients)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		close_client(clients, &clients->clients[i], clients->node->gateway != NULL);
}

void clients_take(struct clients_of_node *clients)
{
	for (unsigned i = 0; i < CLIENTS && !clients->node->stalled_until; i++) {
		struct client *client = &clients->clients[i];
		if (!client->open || client->untaken == 0)
			continue;
		const uint32_t most = client->untaken < UINT32_MAX ? (uint32_t)client->untaken : UINT32_MAX;
		const uint32_t taken = clients->world->quieting || world_one_in(clients->world, 2)
					       ? most
					       : 1 + world_dice(clients->world, most);
		struct sendq to = begin(TO_GATEWAY_TAKEN, client->sid, 3);
		put_uint(&to, taken);
		client->untaken -= taken;
		node_tell(clients->node, &to);
	}
	for (unsigned i = 0; i < CLIENTS && !clients->node->stalled_until; i++)
		if (clients->clients[i].open)
			feed_some(clients, &clients->clients[i]);
}

/* ---- answers ---- */

struct played_error {
	struct span code, ran, host, pool;
	bool has_slot, has_index;
};

static void read_error(const struct world *world, enum error_form form, struct span value, struct played_error *error)
{
	struct reader reader = reader_of(value);
	struct span key, text;
	uint32_t count;
	uint64_t zero;

	*error = (struct played_error){0};
	if (form == ERRORS_AS_MAP) {
		HOLDS(world, read_map(&reader, &count) == 0, "an error is no map");
		for (; count > 0 && read_text(&reader, &key) == 0 && read_value(&reader, &text) == 0; count--) {
			struct reader inside = reader_of(text);
			if (span_is(key, "code"))
				(void)read_text(&inside, &error->code);
			if (span_is(key, "ran"))
				(void)read_text(&inside, &error->ran);
			if (span_is(key, "host"))
				(void)read_text(&inside, &error->host);
			if (span_is(key, "pool"))
				(void)read_text(&inside, &error->pool);
			error->has_slot = error->has_slot || span_is(key, "slot");
			error->has_index = error->has_index || span_is(key, "index");
		}
		HOLDS(world, count == 0 && error->code.size && error->ran.size, "an error has no code, or no ran");
		return;
	}
	if (form == ERRORS_AS_PAIR)
		HOLDS(world, read_array(&reader, &count) == 0 && count == 2 && read_uint(&reader, &zero) == 0,
		      "an error is no pair");
	HOLDS(world, read_text(&reader, &text) == 0, "an error is no text");
	const uint8_t *colon = memchr(text.bytes, ':', text.size);
	HOLDS(world, colon != NULL, "an error has no code");
	error->code = (struct span){.bytes = text.bytes, .size = (size_t)(colon - text.bytes)};
}

/* Hosts that are lost, or can't be asked, are named, and what they had. `is_item`: it stands in the place of one result. */
static void check_fields(const struct world *world, const struct question *question, const struct played_error *error,
			 bool is_item)
{
	const bool lost = span_is(error->code, "HOST_LOST"), unreachable = span_is(error->code, "UNREACHABLE");
	const bool of_slots = question->kind == ALL || question->kind == SCATTER;

	if (!lost && !unreachable)
		return;
	HOLDS(world, !lost || (error->host.size > 0 && span_is(error->pool, "p")),
	      "HOST_LOST of question %u has no host, or no pool", question->msgid);
	HOLDS(world, question->host < 0 || error->host.size > 0, "UNREACHABLE of question %u has no host", question->msgid);
	HOLDS(world, !unreachable || span_is(error->ran, "no"), "UNREACHABLE of question %u, which may have run",
	      question->msgid);
	HOLDS(world, !is_item || error->has_index, "an error of question %u has no index", question->msgid);
	HOLDS(world, !is_item || !of_slots || (error->has_slot && error->host.size && error->pool.size),
	      "an error of question %u does not say of which slot", question->msgid);
}

/* May this question get such an error? */
static void check_error(struct clients_of_node *clients, const struct client *client, const struct question *question,
			struct span value, uint32_t token)
{
	struct world *world = clients->world;
	const struct flavour *flavour = &world->flavour;
	struct played_error error;

	read_error(world, client->form, value, &error);
	if (client->form == ERRORS_AS_MAP)
		check_fields(world, question, &error, is_many(question->kind) && token != question->token + question->count);
	const struct span code = error.code;
	const bool from_host = question->kind == LEASE || question->kind == RELEASE;
	const bool may =
		(span_is(code, "FAILED") && question->fails) || (span_is(code, "TIMEOUT") && question->timed) ||
		(span_is(code, "CANCELLED") && question->cancelled) || (span_is(code, "HOST_LOST") && !flavour->calm) ||
		(span_is(code, "UNREACHABLE") && !flavour->calm) || (span_is(code, "WORKER_LOST") && flavour->crashes) ||
		(span_is(code, "NO_SUCH_SLOT") && (question->kind == SLOT || (flavour->resizes && question->kind == ALL))) ||
		(span_is(code, "UNAVAILABLE") && from_host) || (span_is(code, "OVERLOADED") && flavour->tight) ||
		(span_is(code, "BAD_ARGUMENT") && (from_host || question->kind == SCATTER));
	HOLDS(world, may, "question %u of kind %u gets %.*s", question->msgid, question->kind, SPAN_TEXT(code, 40));
	world->lost += span_is(code, "HOST_LOST");
	world->unreachable += span_is(code, "UNREACHABLE");
	if (from_host || !span_is(error.ran, "no"))
		return;
	struct token *of = &world->tokens[token];
	if (of->runs_on_all)
		return; /* it is said of one slot, or of the whole */
	HOLDS(world, of->ran == 0, "token %u has run, and its caller was told that it has not", token);
	of->must_not = true;
}

struct echo {
	struct span host;
	uint64_t slot, token;
};

static bool read_echo(struct span value, struct echo *echo)
{
	struct reader reader = reader_of(value);
	struct span bytes;
	uint32_t count;

	return read_array(&reader, &count) == 0 && count >= 3 && read_text(&reader, &echo->host) == 0 &&
	       read_uint(&reader, &echo->slot) == 0 && read_uint(&reader, &echo->token) == 0 &&
	       (count == 3 || read_bytes(&reader, &bytes) == 0);
}

/* Among the hosts of the node's [remote p]? */
static bool is_named(const struct node *node, struct span host)
{
	char name[8];

	for (unsigned i = 0; i < NODES; i++) {
		node_name(i, name);
		if ((node->remote_hosts & 1u << i) && span_is(host, name))
			return true;
	}
	return false;
}

static void check_echo(struct clients_of_node *clients, const struct question *question, struct span value, uint32_t token,
		       struct echo *echo)
{
	struct world *world = clients->world;
	char name[8];

	HOLDS(world, read_echo(value, echo), "question %u of kind %u gets what is no echo", question->msgid, question->kind);
	HOLDS(world, echo->token == token, "question %u gets the answer of token %llu, and not of %u", question->msgid,
	      (unsigned long long)echo->token, token);
	HOLDS(world, world->tokens[token].ran >= 1 && !question->fails, "token %u has an answer, and has not run", token);
	if (question->host >= 0) {
		node_name((unsigned)question->host, name);
		HOLDS(world, span_is(echo->host, name), "token %u ran on another host", token);
	}
	if (question->plain && clients->node->remote_hosts)
		HOLDS(world, span_is(echo->host, clients->node->name) || is_named(clients->node, echo->host),
		      "token %u ran on a host that [remote p] does not name", token);
	if (question->kind == SLOT)
		HOLDS(world, echo->slot == question->slot, "token %u ran on another slot", token);
}

static int compare_echoes(const struct echo *a, const struct echo *b)
{
	const size_t both = a->host.size < b->host.size ? a->host.size : b->host.size;
	const int order = memcmp(a->host.bytes, b->host.bytes, both);
	if (order)
		return order;
	if (a->host.size != b->host.size)
		return a->host.size < b->host.size ? -1 : 1;
	return a->slot < b->slot ? -1 : a->slot > b->slot;
}

/* [host, slot, value] */
static struct span take_label(struct world *world, struct span value, struct echo *label)
{
	struct reader reader = reader_of(value);
	struct span inside = {0};
	uint32_t count;

	HOLDS(world,
	      read_array(&reader, &count) == 0 && count == 3 && read_text(&reader, &label->host) == 0 &&
		      read_uint(&reader, &label->slot) == 0 && read_value(&reader, &inside) == 0,
	      "a result has no label");
	return inside;
}

static bool is_nil(struct span value)
{
	return value.size == 1 && value.bytes[0] == BYTE_NIL;
}

static uint32_t token_of(const struct question *question, uint32_t index)
{
	return question->token + (question->kind == ALL || question->kind == ALL_OF_ONE ? 0 : index);
}

/* The whole array of a gather or map. */
static void check_array(struct clients_of_node *clients, const struct client *client, const struct question *question,
			struct span result)
{
	struct world *world = clients->world;
	struct reader reader = reader_of(result);
	struct echo echo, last = {.token = UINT64_MAX};
	const bool of_all = !question->plain || !clients->node->remote_hosts;
	const bool in_rounds = question->sync && world->flavour.calm && of_all; /* there are always the same slots */
	uint32_t count;

	HOLDS(world, read_array(&reader, &count) == 0, "the result of question %u is no array", question->msgid);
	if (question->kind == MAP || question->kind == SCATTER)
		HOLDS(world, count == question->count, "question %u of %u items gets %u results", question->msgid,
		      question->count, count);
	else
		HOLDS(world, count > 0, "question %u gets no results", question->msgid);
	for (uint32_t i = 0; i < count; i++) {
		struct span value, error = {0};
		struct echo label = {0};
		HOLDS(world, read_value(&reader, &value) == 0, "an array is cut off");
		if (in_rounds && i % all_slots(world) == 0)
			last.token = UINT64_MAX; /* a round begins: its items are on different slots, in their order */
		if (question->labels)
			value = take_label(world, value, &label);
		if (question->collects) {
			struct reader pair = reader_of(value);
			uint32_t two;
			HOLDS(world,
			      read_array(&pair, &two) == 0 && two == 2 && read_value(&pair, &error) == 0 &&
				      read_value(&pair, &value) == 0,
			      "a collected result is no pair");
		}
		if (question->collects && !is_nil(error)) {
			check_error(clients, client, question, error, token_of(question, i));
			continue;
		}
		check_echo(clients, question, value, token_of(question, i), &echo);
		if (question->labels)
			HOLDS(world, echo.slot == label.slot && compare_echoes(&echo, &label) == 0, "a label is wrong");
		if (question->kind == ALL || question->kind == SCATTER || in_rounds) {
			HOLDS(world, last.token == UINT64_MAX || compare_echoes(&last, &echo) < 0,
			      "results of question %u are not in order: %u of %u is of %.*s:%u, and that before of %.*s:%u",
			      question->msgid, i, count, SPAN_TEXT(echo.host, 8), (unsigned)echo.slot, SPAN_TEXT(last.host, 8),
			      (unsigned)last.slot);
			last = echo;
		}
	}
}

static void check_summary(struct clients_of_node *clients, const struct question *question, struct span result)
{
	struct world *world = clients->world;
	struct reader reader = reader_of(result);
	uint64_t items = UINT64_MAX, failed = UINT64_MAX, value;
	struct span key;
	uint32_t count;

	HOLDS(world, read_map(&reader, &count) == 0, "the summary of question %u is no map", question->msgid);
	for (; count > 0 && read_text(&reader, &key) == 0 && read_uint(&reader, &value) == 0; count--) {
		items = span_is(key, "items") ? value : items;
		failed = span_is(key, "failed") ? value : failed;
	}
	HOLDS(world, items == question->heard && failed == question->failures,
	      "question %u heard %u results and %u failures, and is told %llu and %llu", question->msgid, question->heard,
	      question->failures, (unsigned long long)items, (unsigned long long)failed);
	if (question->kind == MAP || question->kind == SCATTER || question->kind == FED || question->kind == FED_OF_ONE)
		HOLDS(world,
		      question->heard == question->count && (question->collects || question->failures == 0 || question->first),
		      "question %u of %u items has ended well after %u", question->msgid, question->count, question->heard);
}

static void check_result(struct clients_of_node *clients, const struct client *client, const struct question *question,
			 struct span result)
{
	struct echo echo;

	if (question->streams)
		check_summary(clients, question, result);
	else if (question->kind == LEASE)
		HOLDS(clients->world, result.size > 1, "a lease has no answer");
	else if (question->kind == RELEASE)
		HOLDS(clients->world, result.bytes[0] == BYTE_TRUE, "a release is not true");
	else if (is_many(question->kind))
		check_array(clients, client, question, result);
	else
		check_echo(clients, question, result, question->token, &echo);
}

static struct question *find(struct client *client, uint64_t msgid)
{
	struct question *question;

	TAILQ_FOREACH(question, &client->questions, entry)
		if (question->msgid == msgid)
			return question;
	return NULL;
}

static void hear_answer(struct clients_of_node *clients, struct client *client, const struct rpc *rpc)
{
	struct world *world = clients->world;
	struct question *question = find(client, rpc->msgid);

	HOLDS(world, question != NULL, "%s: client %llu: there is no question %u, or it has been answered", clients->node->name,
	      (unsigned long long)client->sid, rpc->msgid);
	world_say(world, "%s: client %llu hears of %u: %s", clients->node->name, (unsigned long long)client->sid, rpc->msgid,
		  is_nil(rpc->error) ? "good" : "failed");
	if (is_nil(rpc->error)) {
		world->good[question->kind]++;
		check_result(clients, client, question, rpc->result);
	} else {
		world->failed++;
		/* Of many items it says how one failed: that is looked at where each is told by itself. */
		check_error(clients, client, question, rpc->error,
			    is_many(question->kind) ? question->token + question->count : question->token);
	}
	world->answered++;
	TAILQ_REMOVE(&client->questions, question, entry);
	client->in_flight--;
	free(question->seen);
	free(question);
}

static void hear_item(struct clients_of_node *clients, struct client *client, struct question *question, uint64_t index,
		      struct span error, struct span value)
{
	struct world *world = clients->world;
	struct echo echo, label;

	HOLDS(world, question->streams, "question %u does not stream", question->msgid);
	HOLDS(world, index < 256u + question->count && !question->seen[index],
	      "question %u gets result %llu twice, or has no such", question->msgid, (unsigned long long)index);
	if (question->kind != ALL && question->kind != ALL_OF_ONE)
		HOLDS(world, index < question->count, "question %u of %u items gets result %llu", question->msgid,
		      question->count, (unsigned long long)index);
	if (question->ordered)
		HOLDS(world, index == question->next, "question %u gets result %llu, and not %u", question->msgid,
		      (unsigned long long)index, question->next);
	question->seen[index] = 1;
	question->next++;
	question->heard++;
	question->failures += !is_nil(error);
	if (question->labels && is_nil(error))
		value = take_label(world, value, &label);
	if (is_nil(error))
		check_echo(clients, question, value, token_of(question, (uint32_t)index), &echo);
	else
		check_error(clients, client, question, error, token_of(question, (uint32_t)index));
}

static void hear_notification(struct clients_of_node *clients, struct client *client, const struct rpc *rpc)
{
	struct world *world = clients->world;
	struct reader reader = reader_of(rpc->params);
	struct span error, value, run;
	uint64_t msgid, n;
	uint32_t count;

	HOLDS(world, read_array(&reader, &count) == 0 && read_uint(&reader, &msgid) == 0, "a notification has no msgid");
	struct question *question = find(client, msgid);
	HOLDS(world, question != NULL, "a notification is of question %llu, which is not asked", (unsigned long long)msgid);
	if (span_is(rpc->method, "objpool.result")) {
		HOLDS(world,
		      count == 4 && read_uint(&reader, &n) == 0 && read_value(&reader, &error) == 0 &&
			      read_value(&reader, &value) == 0,
		      "a result is not as it must be");
		hear_item(clients, client, question, n, error, value);
	} else if (span_is(rpc->method, "objpool.results")) {
		static const uint8_t nil = BYTE_NIL;
		HOLDS(world, question->runs && read_uint(&reader, &n) == 0 && read_value(&reader, &run) == 0,
		      "results nobody asked for");
		struct reader inside = reader_of(run);
		HOLDS(world, read_array(&inside, &count) == 0, "a run is no array");
		for (; count > 0 && read_value(&inside, &value) == 0; count--)
			hear_item(clients, client, question, n++, (struct span){.bytes = &nil, .size = 1}, value);
	} else if (span_is(rpc->method, "objpool.credit")) {
		HOLDS(world, (question->kind == FED || question->kind == FED_OF_ONE) && read_uint(&reader, &n) == 0,
		      "credit for no feed");
		question->credit += (uint32_t)n;
	} else {
		world_fail(world, "a notification %.*s", SPAN_TEXT(rpc->method, 40));
	}
}

void clients_hear(struct clients_of_node *clients, uint64_t sid, struct span message)
{
	struct world *world = clients->world;
	struct rpc rpc;

	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *client = &clients->clients[i];
		if (!client->open || client->sid != sid)
			continue;
		client->untaken += message.size;
		HOLDS(world, client->untaken <= GATEWAY_AHEAD + world->node_count * (uint64_t)CHANNEL_WINDOW + message.size,
		      "a client that reads nothing is sent %llu bytes", (unsigned long long)client->untaken);
		HOLDS(world, rpc_parse(message, &rpc) == 0, "what the gateway says is no message");
		if (rpc.type == RPC_RESPONSE)
			hear_answer(clients, client, &rpc);
		else
			hear_notification(clients, client, &rpc);
	}
}

/* ---- all of them ---- */

void clients_lose_gateway(struct clients_of_node *clients)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		close_client(clients, &clients->clients[i], false);
}

bool clients_wait(const struct clients_of_node *clients)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (clients->clients[i].in_flight > 0)
			return true;
	return false;
}

void clients_say_waiting(const struct clients_of_node *clients)
{
	const struct question *question;

	for (unsigned i = 0; i < CLIENTS; i++)
		TAILQ_FOREACH(question, &clients->clients[i].questions, entry)
			printf("%s: client %llu waits for %u, kind %u%s%s, host %d, token %u +%u, ran %u; fed %u, credit %u, "
			       "heard %u\n",
			       clients->node->name, (unsigned long long)clients->clients[i].sid, question->msgid, question->kind,
			       question->sync ? " in rounds" : "", question->plain ? " of [remote p]" : "",
			       question->host, question->token, question->count, clients->world->tokens[question->token].ran,
			       question->fed, question->credit, question->heard);
}

struct clients_of_node *clients_new(struct node *node)
{
	struct clients_of_node *clients = calloc(1, sizeof *clients);

	clients->node = node;
	clients->world = node->world;
	clients->last_sid = 1000 * (node->number + 1);
	for (unsigned i = 0; i < CLIENTS; i++)
		TAILQ_INIT(&clients->clients[i].questions);
	return clients;
}

struct clients_of_node *clients_free(struct clients_of_node *clients)
{
	if (clients)
		clients_lose_gateway(clients);
	free(clients);
	return NULL;
}
