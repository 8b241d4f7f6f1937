/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What programs on the bus ask of a host, and what its daemon answers: gateway/service. Each step of the input is a byte, and
 * what the step wants behind it. The host h1 shares the pools p and, for those it trusts, q. make_corpus.py writes steps by these
 * names.
 *
 * Each request has at most one answer, and none goes to a subject where hosts or the server speak.
 */
#include "gateway/core/gateway.h"
#include "gateway/core/put.h"
#include "gateway/service/services.h"
#include "proto/rpc.h"
#include "proto/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum step {
	REQUEST,   /* a byte of bits (enum has), what is behind "objpool.test.call.", and what the bits name, as short texts; body */
	DISCOVERY, /* what is behind "$SRV." */
	ELSEWHERE, /* a subject, a reply and a body: any */
	ANSWERS,   /* the daemon answers all that it was asked, with the next value; none: with an error */
	SAYS,      /* the daemon says bytes */
	GOES,      /* the daemon closes the session */
	TOLD,      /* the supervisor says a value */
	TIME,      /* 2 ^ byte % 16 milliseconds */
	BUS,       /* goes, or comes with messages of 2 ^ (byte % 16) bytes */
	STEPS,
};
enum has { REPLY = 1, TYPE = 2, SELECTOR = 4, OPTIONS = 8, POOL_P = 16 };
enum { HEADERS = 3, REPLIES = 4096, TEXT = 300 };

struct carrier {
	char values[HEADERS][TEXT];
	bool has[HEADERS];
};

struct world {
	struct gateway *gateway;
	struct services *services;
	struct local *local; /* the session of programs on the bus */
	bool closing, up;
	size_t max_message;
	const uint8_t *next, *end;
	unsigned asked;
	uint8_t answered[REPLIES];
};

static struct world *the_world; /* the engine's functions are given a bus that is none */

static struct span text(const char *words)
{
	return (struct span){.bytes = (const uint8_t *)words, .size = strlen(words)};
}

/* ---- the bus ---- */

static int on_subscribe(struct bus *bus, const char *pattern, const char *group, void *context)
{
	(void)bus, (void)group, (void)context;
	return strchr(pattern, ' ') ? -EINVAL : 0;
}

static void on_unsubscribe(struct bus *bus, const char *pattern, const void *context)
{
	(void)bus, (void)pattern, (void)context;
}

static int on_publish_with(struct bus *bus, const char *subject, struct span bytes, const struct bus_header *headers,
			   unsigned count)
{
	(void)bus;
	for (unsigned i = 0; i < count; i++)
		if (strpbrk(headers[i].value, "\r\n"))
			abort(); /* another header, or the body */
	if (strncmp(subject, "objpool.", 8) == 0 || subject[0] == '$' || strncmp(subject, "_INBOX_objpool_", 15) == 0)
		abort();
	if (bytes.size > the_world->max_message)
		return -EMSGSIZE;
	if (strncmp(subject, "reply.", 6) == 0 && ++the_world->answered[atoi(subject + 6)] > 1)
		abort(); /* an answer too many */
	return 0;
}

static const char *on_header(const struct bus_message *message, const char *name)
{
	static const char *const names[HEADERS] = {"Content-Type", "Objpool-Selector", "Objpool-Options"};
	const struct carrier *carrier = message->carrier;

	for (unsigned i = 0; i < HEADERS; i++)
		if (strcmp(name, names[i]) == 0)
			return carrier->has[i] ? carrier->values[i] : NULL;
	return NULL;
}

static size_t on_max_message(const struct bus *bus)
{
	(void)bus;
	return the_world->max_message;
}

static size_t on_unsent(const struct bus *bus)
{
	(void)bus;
	return 0;
}

static const struct bus_engine engine = {.subscribe = on_subscribe,
					 .unsubscribe = on_unsubscribe,
					 .publish_with = on_publish_with,
					 .header = on_header,
					 .max_message = on_max_message,
					 .unsent = on_unsent};

/* ---- the core's surroundings ---- */

static int on_publish(struct gateway *gateway, const char *host, const void *bytes, size_t size)
{
	(void)gateway, (void)host, (void)bytes, (void)size;
	return 0;
}

static int on_publish_beat(struct gateway *gateway, const void *bytes, size_t size)
{
	(void)gateway, (void)bytes, (void)size;
	return 0;
}

static void nothing_gateway(struct gateway *gateway) { (void)gateway; }
static void nothing_local(struct local *local) { (void)local; }

static int on_local_open(struct local *local)
{
	struct world *world = local->gateway->owner;

	if (world->local)
		return -EMFILE;
	world->local = local;
	return 0;
}

static void let_go(struct world *world)
{
	world->local = local_free(world->local);
	world->closing = false;
}

static void on_local_close(struct local *local)
{
	struct world *world = local->gateway->owner;

	world->closing = true;
	if (local->gateway->ending)
		let_go(world);
}

static const struct gateway_ops ops = {.publish = on_publish,
				       .publish_beat = on_publish_beat,
				       .supervisor_wrote = nothing_gateway,
				       .local_open = on_local_open,
				       .local_wrote = nothing_local,
				       .local_reads = nothing_local,
				       .local_close = on_local_close};

/* ---- bytes ---- */

static uint8_t take_byte(struct world *world)
{
	return world->next < world->end ? *world->next++ : 0;
}

static struct span take_bytes(struct world *world)
{
	const unsigned high = take_byte(world);
	const size_t wanted = high << 8 | take_byte(world), left = (size_t)(world->end - world->next);
	const struct span bytes = {.bytes = world->next, .size = wanted < left ? wanted : left};

	world->next += bytes.size;
	return bytes;
}

/* Likewise with a size of one byte, as a text; NULs end it, as they do on the bus. */
static void take_text(struct world *world, char to[TEXT])
{
	const size_t wanted = take_byte(world), left = (size_t)(world->end - world->next), size = wanted < left ? wanted : left;

	if (size)
		memcpy(to, world->next, size);
	to[size] = '\0';
	world->next += size;
}

static struct span take_value(struct world *world)
{
	struct scan scan;

	scan_begin(&scan, 1 << 20);
	if (scan_run(&scan, world->next, (size_t)(world->end - world->next)) != 1 || scan.over || scan.deep)
		return (struct span){0};
	const struct span value = {.bytes = world->next, .size = (size_t)scan.pos};
	world->next += scan.pos;
	return value;
}

static uint8_t *flat(const struct sendq *queue)
{
	uint8_t *bytes = malloc(queue->bytes + 1);
	size_t size = 0;

	if (!bytes)
		abort();
	for (const struct sendq_segment *s = queue->head; s; s = s->next) {
		memcpy(bytes + size, s->bytes + s->off, s->len - s->off);
		size += s->len - s->off;
	}
	return bytes;
}

/* ---- steps ---- */

static void end_turn(struct world *world)
{
	services_end_turn(world->services);
	gateway_end_turn(world->gateway);
	sendq_clear(&world->gateway->to_supervisor);
	if (world->closing)
		let_go(world);
}

static void tell(struct world *world, struct span message)
{
	if (gateway_on_supervisor(world->gateway, message, NULL) == 0)
		services_on_supervisor(world->services, message);
	end_turn(world);
}

static void tell_queue(struct world *world, struct sendq *to)
{
	uint8_t *bytes = flat(to);

	tell(world, (struct span){.bytes = bytes, .size = to->bytes});
	free(bytes);
	sendq_clear(to);
}

static void put_pool(struct sendq *to, const char *name, bool unpickle)
{
	put_array(to, 8);
	put_text(to, name);
	put_text(to, "Played");
	put_uint(to, 2);
	put_array(to, 2);
	put_uint(to, 0);
	put_uint(to, 1);
	put_uint(to, 0);
	put_uint(to, 0);
	put_bool(to, unpickle);
	put_nil(to);
}

static void share(struct world *world)
{
	struct sendq to = {0};

	put_array(&to, 2);
	put_uint(&to, TO_GATEWAY_POOLS);
	put_array(&to, 2);
	put_pool(&to, "p", false);
	put_pool(&to, "q", true);
	tell_queue(world, &to);
}

static void pass(struct world *world, uint64_t nanoseconds)
{
	const uint64_t until = world->gateway->now + nanoseconds;

	while (world->gateway->now < until) {
		const uint64_t next = gateway_next(world->gateway);
		const uint64_t soonest = next > world->gateway->now ? next : world->gateway->now + 1;
		world->gateway->now = soonest < until ? soonest : until;
		gateway_run(world->gateway);
		end_turn(world);
	}
}

static void come(struct world *world, const char *subject, const char *reply, struct span body, struct carrier *carrier)
{
	uint8_t *copy = malloc(body.size + !body.size); /* of its own: who reads behind its end is seen */

	if (!copy)
		abort();
	if (body.size)
		memcpy(copy, body.bytes, body.size);
	const struct bus_message message = {.subject = text(subject),
					    .subject_text = subject,
					    .reply = reply,
					    .bytes = {.bytes = copy, .size = body.size},
					    .carrier = carrier};
	services_on_message(world->services, &message);
	free(copy);
}

static void request(struct world *world)
{
	struct carrier carrier = {0};
	const uint8_t has = take_byte(world);
	char rest[TEXT] = "p.m", subject[2 * TEXT], reply[32];

	if (!(has & POOL_P))
		take_text(world, rest);
	for (unsigned i = 0; i < HEADERS; i++)
		if ((carrier.has[i] = has & (TYPE << i)))
			take_text(world, carrier.values[i]);
	(void)snprintf(subject, sizeof subject, "objpool.test.call.%s", rest);
	(void)snprintf(reply, sizeof reply, "reply.%u", ++world->asked % REPLIES);
	world->answered[world->asked % REPLIES] = 0;
	come(world, subject, has & REPLY ? reply : NULL, take_bytes(world), &carrier);
}

static void discovery(struct world *world)
{
	struct carrier carrier = {0};
	char rest[TEXT], subject[2 * TEXT];

	take_text(world, rest);
	(void)snprintf(subject, sizeof subject, "$SRV.%s", rest);
	come(world, subject, "any", (struct span){0}, &carrier);
}

static void elsewhere(struct world *world)
{
	struct carrier carrier = {0};
	char subject[TEXT], reply[TEXT];

	take_text(world, subject);
	take_text(world, reply);
	if (strncmp(reply, "reply.", 6) == 0)
		reply[0] = 'R';
	come(world, subject, reply, take_bytes(world), &carrier);
}

static void put_answer(struct sendq *to, uint32_t msgid, struct span value)
{
	put_array(to, 4);
	put_uint(to, RPC_RESPONSE);
	put_uint(to, msgid);
	if (value.size) {
		put_nil(to);
		sendq_copy(to, value.bytes, value.size);
		return;
	}
	put_map(to, 2);
	put_text(to, "code");
	put_text(to, "FAILED");
	put_text(to, "message");
	put_text(to, "two\r\nlines");
	put_nil(to);
}

static void say(struct world *world, const uint8_t *bytes, size_t size)
{
	if (world->local && !world->closing)
		gateway_on_local_bytes(world->local, (struct span){.bytes = bytes, .size = size});
}

/* What the daemon was asked is objpool.call of a pool here, or hello, or describe: nothing else. */
static void check(const struct rpc *rpc)
{
	if (rpc->type != RPC_REQUEST || !(span_is(rpc->method, "objpool.call") || span_is(rpc->method, "objpool.hello") ||
					  span_is(rpc->method, "objpool.describe")))
		abort();
}

static void answers(struct world *world)
{
	const struct span value = take_value(world);
	struct sendq out = {0};

	if (!world->local)
		return;
	uint8_t *bytes = flat(&world->local->out);
	const size_t size = world->local->out.bytes;
	for (size_t at = 0; at < size;) {
		struct rpc rpc;
		const int64_t n = scan_length(bytes + at, size - at);
		if (n <= 0 || rpc_parse((struct span){.bytes = bytes + at, .size = (size_t)n}, &rpc) < 0)
			abort(); /* what the daemon gets must be messages */
		check(&rpc);
		put_answer(&out, rpc.msgid, value);
		at += (size_t)n;
	}
	free(bytes);
	sendq_sent(&world->local->out, size);
	gateway_on_local_sent(world->local);
	bytes = flat(&out);
	say(world, bytes, out.bytes);
	free(bytes);
	sendq_clear(&out);
}

static void bus(struct world *world)
{
	world->max_message = (size_t)1 << (take_byte(world) % 16 + 4);
	world->up = !world->up;
	services_set_bus(world->services, world->up ? (struct bus *)world : NULL, world->up ? "test" : NULL);
}

static void step(struct world *world)
{
	struct span bytes;

	switch ((enum step)(take_byte(world) % STEPS)) {
	case REQUEST: request(world); break;
	case DISCOVERY: discovery(world); break;
	case ELSEWHERE: elsewhere(world); break;
	case ANSWERS: answers(world); break;
	case SAYS:
		bytes = take_bytes(world);
		say(world, bytes.bytes, bytes.size);
		break;
	case GOES:
		if (world->local && !world->closing) {
			gateway_on_local_gone(world->local);
			let_go(world);
		}
		break;
	case TOLD:
		bytes = take_value(world);
		if (bytes.size)
			tell(world, bytes);
		break;
	case TIME: pass(world, (UINT64_C(1) << (take_byte(world) & 15)) * MILLISECOND); break;
	case BUS: bus(world); break;
	case STEPS: break;
	}
	end_turn(world);
}

static void begin(struct world *world)
{
	struct sendq to = {0};

	world->gateway = gateway_new(&ops, world, SECOND, 1);
	world->services = world->gateway ? services_new(world->gateway, &engine) : NULL;
	if (!world->services)
		abort();
	put_array(&to, 2);
	put_uint(&to, TO_GATEWAY_CONFIG);
	put_map(&to, 1);
	put_text(&to, "name");
	put_text(&to, "h1");
	tell_queue(world, &to);
	gateway_on_bus_up(world->gateway, 1 << 16, "here");
	services_set_bus(world->services, (struct bus *)world, "test");
	world->up = true;
	pass(world, 1200 * MILLISECOND); /* it serves after a second */
	share(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct world *world = calloc(1, sizeof *world);

	if (!world)
		abort();
	*world = (struct world){.next = bytes, .end = bytes + size, .max_message = 1 << 16};
	the_world = world;
	begin(world);
	while (world->next < world->end)
		step(world);
	world->gateway->ending = true;
	services_set_bus(world->services, NULL, NULL);
	world->services = services_free(world->services);
	if (world->local)
		abort(); /* it has forgotten it */
	if (world->gateway->memory.used > 0)
		abort();
	world->gateway = gateway_free(world->gateway);
	free(world);
	return 0;
}
