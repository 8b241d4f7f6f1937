/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gateways of two hosts, h1 and h2, on a bus whose messages are lost, doubled and changed, and on which anybody says anything;
 * whose supervisors and daemons do, too. Each step of the input is a byte, and what the step wants behind it. Both are connected,
 * and know each other, before the first step. make_corpus.py writes steps by these names.
 *
 * No fuzzer finds a sum (sum.h), an incarnation or an epoch. So they are made here: what a step says comes whole, and from an
 * incarnation that is known. WRONG_SUM is for those that do not.
 */
#include "gateway/core/channel.h"
#include "gateway/core/gateway.h"
#include "gateway/core/put.h"
#include "gateway/core/sum.h"
#include "proto/rpc.h"
#include "proto/scan.h"

#include <errno.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum step { /* bit 0 of the low four is the gateway; the others are a number, or whatever the step wants */
	SUPERVISOR_SAYS = 0x00, /* a msgpack value */
	SUPERVISOR_READS = 0x10,
	BEAT = 0x20,   /* from host NAMES[number]: a size of two bytes, and bytes; or as of enum said */
	PACKET = 0x30, /* likewise */
	ARRIVES = 0x40, /* number + 1 of what is on the way */
	IS_LOST = 0x50,
	IS_DOUBLED = 0x60,
	IS_CHANGED = 0x70,     /* a place of two bytes, and what is mixed into the byte there; number odd: its sum is wrong then */
	LOCAL_SAYS = 0x80,     /* session number: a size of two bytes, and bytes */
	LOCAL_ANSWERS = 0x90,  /* the daemon answers all that is asked on it */
	LOCAL_GOES = 0xa0,
	BUS = 0xb0,   /* goes down, or comes up with packets of 1 << (8 + number) bytes */
	TIME = 0xc0,  /* 2 ^ number milliseconds */
	FLOWS = 0xd0, /* all that is on the way arrives, and all sessions are answered, until nothing happens */
	DIES = 0xe0,  /* and is started again, as another incarnation */
	STEP = 0xf0,  /* the mask */
};
/* Numbers of BEAT and PACKET: from the other host, which the bytes come from. */
enum said {
	WHOLE = 6, /* PACKET: the bytes are frames. BEAT: they are the pools */
	FRAME = 7, /* PACKET: a byte with the kind of one frame, one with its channel, and the payload as bytes */
	WRONG_SUM = 7, /* BEAT */
};
enum { BEAT_SUM = 8, AT_SUM = CONDUIT_HEAD - 8, FRAME_HEAD = 9, PACKET_VERSION = 2 };
enum { HOSTS = 2, LOCALS = 32, MESSAGE = 1 << 18, FLIGHTS = 256 };

static const char *const NAMES[] = {"h1", "h2", "h3", "bus", "",
				    "a name that is longer than any host's may be, and so no host's at all: h4"};
enum { NAMES_COUNT = sizeof NAMES / sizeof *NAMES };

struct flight {
	struct flight *next;
	unsigned to;
	bool beat;
	size_t size;
	uint8_t bytes[];
};

struct host_of_world {
	struct world *world;
	unsigned number;
	struct gateway *gateway;
	struct local *locals[LOCALS];
	bool closing[LOCALS];
};

struct world {
	struct host_of_world hosts[HOSTS];
	struct flight *flights, **flights_end;
	unsigned flying;
	uint64_t now, starts, said;
	const uint8_t *next, *end;
};

static struct span text(const char *words)
{
	return (struct span){.bytes = (const uint8_t *)words, .size = strlen(words)};
}

/* ---- the core's surroundings ---- */

static int fly(struct gateway *gateway, bool beat, const void *bytes, size_t size)
{
	const struct host_of_world *from = gateway->owner;
	struct world *world = from->world;

	if (size > gateway->packet_max)
		abort(); /* the bus takes no such message */
	if (world->flying == FLIGHTS)
		return -ENOBUFS;
	struct flight *flight = malloc(sizeof *flight + size);
	if (!flight)
		abort();
	*flight = (struct flight){.to = !from->number, .beat = beat, .size = size};
	memcpy(flight->bytes, bytes, size);
	*world->flights_end = flight;
	world->flights_end = &flight->next;
	world->flying++;
	return 0;
}

static int on_publish(struct gateway *gateway, const char *host, const void *bytes, size_t size)
{
	const struct host_of_world *from = gateway->owner;

	return strcmp(host, NAMES[!from->number]) == 0 ? fly(gateway, false, bytes, size) : 0;
}

static bool on_room(struct gateway *gateway)
{
	(void)gateway;
	return true;
}

static int on_publish_beat(struct gateway *gateway, const void *bytes, size_t size)
{
	return fly(gateway, true, bytes, size);
}

static void nothing_gateway(struct gateway *gateway) { (void)gateway; }
static void nothing_local(struct local *local) { (void)local; }

static int on_local_open(struct local *local)
{
	struct host_of_world *host = local->gateway->owner;

	for (unsigned i = 0; i < LOCALS; i++) {
		if (host->locals[i])
			continue;
		host->locals[i] = local;
		return 0;
	}
	return -EMFILE;
}

static unsigned place_of(const struct host_of_world *host, const struct local *local)
{
	for (unsigned i = 0; i < LOCALS; i++)
		if (host->locals[i] == local)
			return i;
	abort(); /* it was never opened, or is closed twice */
}

static void let_go(struct host_of_world *host, unsigned i)
{
	host->locals[i] = local_free(host->locals[i]);
	host->closing[i] = false;
}

static void on_local_close(struct local *local)
{
	struct host_of_world *host = local->gateway->owner;
	const unsigned i = place_of(host, local);

	host->closing[i] = true;
	if (local->gateway->ending)
		let_go(host, i);
}

static const struct gateway_ops ops = {.publish = on_publish,
				       .publish_beat = on_publish_beat,
				       .has_room = on_room,
				       .supervisor_wrote = nothing_gateway,
				       .local_open = on_local_open,
				       .local_wrote = nothing_local,
				       .local_reads = nothing_local,
				       .local_close = on_local_close};

static void end_turn(struct host_of_world *host)
{
	gateway_end_turn(host->gateway);
	for (unsigned i = 0; i < LOCALS; i++)
		if (host->closing[i])
			let_go(host, i);
}

/* ---- bytes ---- */

static uint8_t take_byte(struct world *world)
{
	return world->next < world->end ? *world->next++ : 0;
}

static unsigned take_two(struct world *world)
{
	const unsigned high = take_byte(world);

	return high << 8 | take_byte(world);
}

static struct span take_bytes(struct world *world)
{
	const size_t wanted = take_two(world), left = (size_t)(world->end - world->next);
	const struct span bytes = {.bytes = world->next, .size = wanted < left ? wanted : left};

	world->next += bytes.size;
	return bytes;
}

/* The next value of the input, as the link lets it pass. Size 0: there is none. */
static struct span take_value(struct world *world)
{
	struct scan scan;

	scan_begin(&scan, MESSAGE);
	if (scan_run(&scan, world->next, (size_t)(world->end - world->next)) != 1 || scan.over || scan.deep) {
		world->next = world->end;
		return (struct span){0};
	}
	const struct span value = {.bytes = world->next, .size = (size_t)scan.pos};
	world->next += scan.pos;
	return value;
}

/* What the queue has, one behind the other. */
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
	if (size != queue->bytes)
		abort();
	return bytes;
}

/* ---- supervisors ---- */

static void tell(struct host_of_world *host, struct sendq *message)
{
	uint8_t *bytes = flat(message);

	if (gateway_on_supervisor(host->gateway, (struct span){.bytes = bytes, .size = message->bytes}, NULL) < 0)
		abort();
	free(bytes);
	sendq_clear(message);
	end_turn(host);
}

static void begin(struct host_of_world *host)
{
	struct sendq to = {0};

	host->gateway = gateway_new(&ops, host, host->world->now, ++host->world->starts);
	if (!host->gateway)
		abort();
	put_array(&to, 2);
	put_uint(&to, TO_GATEWAY_CONFIG);
	put_map(&to, 2);
	put_text(&to, "name");
	put_text(&to, NAMES[host->number]);
	put_text(&to, "remotes");
	put_map(&to, 1);
	put_text(&to, "q");
	put_map(&to, 1);
	put_text(&to, "hosts");
	put_text(&to, "*");
	tell(host, &to);
	gateway_on_bus_up(host->gateway, 1 << 16, "here");
	put_array(&to, 2);
	put_uint(&to, TO_GATEWAY_OPEN);
	put_uint(&to, 1);
	put_map(&to, 1);
	put_text(&to, "errors");
	put_text(&to, "map");
	tell(host, &to);
}

/* The pool p, with two slots that are ready. */
static void share(struct host_of_world *host)
{
	struct sendq to = {0};

	put_array(&to, 2);
	put_uint(&to, TO_GATEWAY_POOLS);
	put_array(&to, 1);
	put_array(&to, 8);
	put_text(&to, "p");
	put_text(&to, "Played");
	put_uint(&to, 2);
	put_array(&to, 2);
	put_uint(&to, 0);
	put_uint(&to, 1);
	put_uint(&to, 0);
	put_uint(&to, 0);
	put_bool(&to, false);
	put_nil(&to);
	tell(host, &to);
}

/* All that the supervisor gets must be whole messages. */
static void supervisor_reads(struct host_of_world *host)
{
	struct sendq *out = &host->gateway->to_supervisor;
	uint8_t *bytes = flat(out);

	for (size_t at = 0; at < out->bytes;) {
		const int64_t n = scan_length(bytes + at, out->bytes - at);
		if (n <= 0)
			abort();
		at += (size_t)n;
	}
	free(bytes);
	sendq_sent(out, out->bytes);
}

static void dies(struct host_of_world *host)
{
	supervisor_reads(host);
	host->gateway = gateway_free(host->gateway);
	for (unsigned i = 0; i < LOCALS; i++)
		if (host->locals[i])
			abort(); /* it has forgotten one */
}

static void supervisor_says(struct host_of_world *host)
{
	const struct span value = take_value(host->world);

	if (value.size > 0 && gateway_on_supervisor(host->gateway, value, NULL) < 0) {
		dies(host);
		begin(host);
	}
}

/* ---- the bus ---- */

static void arrive(struct world *world, const struct flight *flight)
{
	struct host_of_world *host = &world->hosts[flight->to];
	const struct span bytes = {.bytes = flight->bytes, .size = flight->size};

	(flight->beat ? gateway_on_beat : gateway_on_packet)(host->gateway, text(NAMES[!flight->to]), bytes);
	end_turn(host);
}

static struct flight *take_flight(struct world *world)
{
	struct flight *flight = world->flights;

	if (!flight)
		return NULL;
	world->flights = flight->next;
	if (!world->flights)
		world->flights_end = &world->flights;
	world->flying--;
	return flight;
}

/* ---- sums ---- */

static void make_sum(uint8_t *bytes, size_t size, bool beat)
{
	if (beat && size >= BEAT_SUM)
		(void)pack_be64(bytes + size - BEAT_SUM, sum_of(0, bytes, size - BEAT_SUM));
	else if (!beat && size >= CONDUIT_HEAD)
		(void)pack_be64(bytes + AT_SUM, sum_of(sum_of(0, bytes, AT_SUM), bytes + CONDUIT_HEAD, size - CONDUIT_HEAD));
}

/* Room for what is said, in a block of its own: who reads behind its end is seen. The caller frees it. */
static uint8_t *room_for(size_t size)
{
	uint8_t *bytes = malloc(size + !size);

	if (!bytes)
		abort();
	return bytes;
}

static void give_beat(struct host_of_world *host, const char *from, uint8_t *bytes, size_t size)
{
	gateway_on_beat(host->gateway, text(from), (struct span){.bytes = bytes, .size = size});
	free(bytes);
}

static void give_packet(struct host_of_world *host, const char *from, uint8_t *bytes, size_t size)
{
	gateway_on_packet(host->gateway, text(from), (struct span){.bytes = bytes, .size = size});
	free(bytes);
}

/* A beat of the other host's incarnation, with these pools. */
static void say_pools(struct host_of_world *host, struct span pools)
{
	struct host_of_world *other = &host->world->hosts[!host->number];
	struct sendq to = {0};

	put_array(&to, 6);
	put_uint(&to, 1);
	put_uint(&to, other->gateway->incarnation);
	put_uint(&to, (uint64_t)1 << 32 | ++host->world->said); /* later than all beats of its own */
	put_uint(&to, 5000);
	put_bool(&to, false);
	sendq_copy(&to, pools.bytes, pools.size);
	const size_t size = to.bytes + BEAT_SUM;
	uint8_t *beat = flat(&to), *bytes = room_for(size);
	memcpy(bytes, beat, to.bytes);
	make_sum(bytes, size, true);
	free(beat);
	sendq_clear(&to);
	give_beat(host, NAMES[!host->number], bytes, size);
}

static void say_beat(struct host_of_world *host, unsigned number)
{
	const struct span said = take_bytes(host->world);
	const bool sums = number < WRONG_SUM;

	if (number == WHOLE) {
		say_pools(host, said);
		return;
	}
	const size_t size = said.size + (sums ? BEAT_SUM : 0);
	uint8_t *bytes = room_for(size);
	memcpy(bytes, said.bytes, said.size);
	if (sums)
		make_sum(bytes, size, true);
	give_beat(host, NAMES[number % NAMES_COUNT], bytes, size);
}

/* The other host's next packet, as far as this one knows, with these frames. */
static void say_frames(struct host_of_world *host, const void *frames, size_t frames_size)
{
	const char *from = NAMES[!host->number];
	const struct host *known = hosts_find(host->gateway->hosts, text(from));
	const struct conduit *conduit = known ? known->conduit : NULL;
	const size_t size = CONDUIT_HEAD + frames_size;
	uint8_t *bytes = room_for(size), *p = bytes;

	*p++ = PACKET_VERSION;
	*p++ = 0;
	p = pack_be16(p, 0);
	p = pack_be64(p, known ? known->incarnation : 1);
	p = pack_be64(p, host->gateway->incarnation);
	p = pack_be64(p, conduit ? conduit->epoch : known ? known->next_epoch : 1);
	p = pack_be64(p, frames_size == 0 ? 0 : conduit ? conduit->received + 1 : 1);
	(void)pack_be64(p, conduit ? conduit->last_seq : 0);
	memcpy(bytes + CONDUIT_HEAD, frames, frames_size);
	make_sum(bytes, size, false);
	give_packet(host, from, bytes, size);
}

static void say_frame(struct host_of_world *host)
{
	const uint8_t kind = take_byte(host->world), channel = take_byte(host->world);
	const struct span payload = take_bytes(host->world);
	uint8_t *frame = room_for(FRAME_HEAD + payload.size);

	frame[0] = kind;
	(void)pack_be32(pack_be32(frame + 1, channel), (uint32_t)payload.size);
	memcpy(frame + FRAME_HEAD, payload.bytes, payload.size);
	say_frames(host, frame, FRAME_HEAD + payload.size);
	free(frame);
}

static void say_packet(struct host_of_world *host, unsigned number)
{
	if (number == FRAME) {
		say_frame(host);
		return;
	}
	const struct span said = take_bytes(host->world);
	if (number == WHOLE) {
		say_frames(host, said.bytes, said.size);
		return;
	}
	uint8_t *bytes = room_for(said.size);
	memcpy(bytes, said.bytes, said.size);
	make_sum(bytes, said.size, false);
	give_packet(host, NAMES[number % NAMES_COUNT], bytes, said.size);
}

/* ---- what is on the way ---- */

static void arrives(struct world *world, unsigned count)
{
	struct flight *flight;

	while (count-- > 0 && (flight = take_flight(world))) {
		arrive(world, flight);
		free(flight);
	}
}

static void is_changed(struct world *world, bool wrong_sum)
{
	const unsigned place = take_two(world);
	const uint8_t what = take_byte(world);
	struct flight *flight = world->flights;

	if (flight && flight->size > 0) {
		flight->bytes[place % flight->size] ^= what;
		if (!wrong_sum)
			make_sum(flight->bytes, flight->size, flight->beat);
	}
	arrives(world, 1);
}

static void bus(struct gateway *gateway, unsigned number)
{
	if (gateway->bus_is_up)
		gateway_on_bus_down(gateway, "it has gone");
	else
		gateway_on_bus_up(gateway, (size_t)1 << (8 + number), "here");
}

/* ---- daemons ---- */

static unsigned local_of(const struct host_of_world *host, unsigned number)
{
	for (unsigned i = 0; i < LOCALS; i++)
		if (host->locals[(number + i) % LOCALS])
			return (number + i) % LOCALS;
	return LOCALS;
}

/* [1, msgid, nil, params]; of a call in full, which may be of two slots, [[nil, 1], [nil, 1]] */
static void put_answer(struct sendq *to, const struct rpc *rpc)
{
	put_array(to, 4);
	put_uint(to, RPC_RESPONSE);
	put_uint(to, rpc->msgid);
	put_nil(to);
	if (!span_is(rpc->method, "objpool.call")) {
		sendq_copy(to, rpc->params.bytes, rpc->params.size);
		return;
	}
	put_array(to, 2);
	for (int i = 0; i < 2; i++) {
		put_array(to, 2);
		put_nil(to);
		put_uint(to, 1);
	}
}

static void local_answers(struct host_of_world *host, unsigned i)
{
	struct local *local = host->locals[i];
	struct sendq answers = {0};
	uint8_t *bytes = flat(&local->out);
	const size_t size = local->out.bytes;
	size_t at = 0;

	while (at < size) {
		struct rpc rpc;
		const int64_t n = scan_length(bytes + at, size - at);
		if (n <= 0)
			break;
		if (rpc_parse((struct span){.bytes = bytes + at, .size = (size_t)n}, &rpc) == 0 && rpc.type == RPC_REQUEST)
			put_answer(&answers, &rpc);
		at += (size_t)n;
	}
	free(bytes);
	sendq_sent(&local->out, at); /* what is not whole yet stays */
	gateway_on_local_sent(local);
	bytes = flat(&answers);
	if (answers.bytes > 0 && !host->closing[i])
		gateway_on_local_bytes(local, (struct span){.bytes = bytes, .size = answers.bytes});
	free(bytes);
	sendq_clear(&answers);
}

static void local_step(struct host_of_world *host, enum step what, unsigned number)
{
	const struct span said = what == LOCAL_SAYS ? take_bytes(host->world) : (struct span){0};
	const unsigned i = local_of(host, number);

	if (i == LOCALS)
		return;
	if (what == LOCAL_SAYS) {
		gateway_on_local_bytes(host->locals[i], said);
	} else if (what == LOCAL_ANSWERS) {
		local_answers(host, i);
	} else {
		gateway_on_local_gone(host->locals[i]);
		let_go(host, i);
	}
}

/* ---- steps ---- */

static void pass_time(struct world *world, uint64_t nanoseconds)
{
	const uint64_t until = world->now + nanoseconds;

	while (world->now < until) {
		uint64_t next = until;
		for (unsigned i = 0; i < HOSTS; i++) {
			const uint64_t due = gateway_next(world->hosts[i].gateway);
			next = due < next ? due : next;
		}
		world->now = next > world->now ? next : world->now + 1;
		for (unsigned i = 0; i < HOSTS; i++) {
			world->hosts[i].gateway->now = world->now;
			gateway_run(world->hosts[i].gateway);
			end_turn(&world->hosts[i]);
		}
	}
}

static void flow(struct world *world)
{
	for (int i = 0; i < 8; i++) {
		arrives(world, FLIGHTS);
		for (unsigned h = 0; h < HOSTS; h++) {
			for (unsigned l = 0; l < LOCALS; l++)
				if (world->hosts[h].locals[l]) {
					local_answers(&world->hosts[h], l);
					end_turn(&world->hosts[h]);
				}
			supervisor_reads(&world->hosts[h]);
		}
		pass_time(world, 20 * MILLISECOND);
	}
}

static void step(struct world *world, uint8_t byte)
{
	struct host_of_world *host = &world->hosts[byte & 1];
	const unsigned number = (byte & (unsigned)~STEP) >> 1;
	const enum step what = byte & STEP;

	switch (what) {
	case SUPERVISOR_SAYS: supervisor_says(host); break;
	case SUPERVISOR_READS: supervisor_reads(host); break;
	case BEAT: say_beat(host, number); break;
	case PACKET: say_packet(host, number); break;
	case ARRIVES: arrives(world, 1 + number); break;
	case IS_LOST: free(take_flight(world)); break;
	case IS_DOUBLED:
		if (world->flights)
			arrive(world, world->flights);
		break;
	case IS_CHANGED: is_changed(world, number & 1); break;
	case LOCAL_SAYS:
	case LOCAL_ANSWERS:
	case LOCAL_GOES: local_step(host, what, number); break;
	case BUS: bus(host->gateway, number); break;
	case TIME: pass_time(world, (UINT64_C(1) << (byte & 15)) * MILLISECOND); break;
	case FLOWS: flow(world); break;
	case DIES:
		dies(host);
		begin(host);
		break;
	case STEP: share(host); break;
	}
	end_turn(host);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct world world = {.now = SECOND, .next = bytes, .end = bytes + size};

	world.flights_end = &world.flights;
	for (unsigned i = 0; i < HOSTS; i++) {
		world.hosts[i] = (struct host_of_world){.world = &world, .number = i};
		begin(&world.hosts[i]);
	}
	for (int i = 0; i < 10; i++) { /* they serve after a second */
		share(&world.hosts[0]);
		share(&world.hosts[1]);
		flow(&world);
	}
	while (world.next < world.end)
		step(&world, take_byte(&world));
	for (unsigned i = 0; i < HOSTS; i++)
		dies(&world.hosts[i]);
	while (world.flights)
		free(take_flight(&world));
	return 0;
}
