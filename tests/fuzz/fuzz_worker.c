/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker that says, and writes on its board, whatever it likes, among clients that call, cancel, lease and go: each step of the
 * input is a byte, and, where something is said, a msgpack value. make_corpus.py writes steps by these names.
 */
#include "daemon/core/calls/client_end.h"
#include "daemon/core/entry/from_worker.h"
#include "daemon/core/calls/lease.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/life/pool_life.h"
#include "daemon/core/entry/request.h"
#include "daemon/core/entry/request_train.h"
#include "daemon/core/life/sizing.h"
#include "daemon/core/life/slot_life.h"
#include "proto/scan.h"

#include <stddef.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum step { /* the low four bits are a number: of a worker, a client, or whatever the step wants */
	WORKER_SAYS = 0x00,
	CLIENT_SAYS = 0x10,
	CLIENT_READS = 0x20,
	CLIENT_ENDS_INPUT = 0x30,
	CLIENT_GOES = 0x40,
	WORKER_BEGINS = 0x50,  /* all that it was handed and that is not taken back */
	WORKER_READS = 0x60,
	WORKER_SCRIBBLES = 0x70, /* on the board; the next byte says what */
	WORKER_GOES = 0x80,
	TIME = 0x90,           /* 2 ^ number milliseconds */
	RESIZE = 0xa0,
	RESTART = 0xb0,        /* a slot */
	LEASE = 0xc0,          /* by a client; the next byte - 1 is the slot, of 3 */
	RELEASE = 0xd0,
	STEP = 0xf0,           /* the mask */
};
enum { WORKERS = 32, CLIENTS = 3, MESSAGE = 1 << 16 };

struct worker {
	struct slot *slot; /* NULL: there is none */
	struct board *board;
};

struct world {
	struct core core;
	struct pool *pool;
	bool pool_gone;
	struct client clients[CLIENTS];
	struct worker workers[WORKERS];
	const uint8_t *next, *end;
};
static struct world *the_world; /* of the run */

/* A megabyte each, of which a run touches the beginning: never given back. */
static struct board boards[WORKERS];
static bool taken[WORKERS];

static struct board *board_new(void)
{
	unsigned i = 0;

	while (taken[i])
		i++;
	taken[i] = true;
	memset(&boards[i], 0, offsetof(struct board, ledger) + 8 * sizeof boards[i].ledger[0]);
	return &boards[i];
}

static void board_free(struct board *board)
{
	if (board)
		taken[board - boards] = false;
}

/* ---- the core's surroundings ---- */

static void nothing_client(struct client *client) { (void)client; }
static void nothing(struct slot *slot) { (void)slot; }

static void on_start(struct slot *slot)
{
	struct worker *worker = the_world->workers;

	while (worker->slot)
		if (++worker == the_world->workers + WORKERS)
			abort(); /* who starts so many? */
	if (!slot->board)
		slot->board = board_new();
	worker->slot = slot;
	worker->board = slot->board;
	slot_on_connected(slot, 1, (struct span){0}, (struct span){0}, (struct span){0});
}

static void on_slot_free(struct slot *slot)
{
	for (struct worker *worker = the_world->workers; worker < the_world->workers + WORKERS; worker++)
		if (worker->slot == slot)
			abort(); /* its worker has not ended */
	board_free(slot->board);
}

static void on_pool_free(struct pool *pool)
{
	(void)pool;
	the_world->pool_gone = true;
}

static const struct core_ops ops = {.client_wrote = nothing_client,
				    .slot_wrote = nothing,
				    .slot_start = on_start,
				    .slot_kill = nothing,
				    .slot_nudge = nothing,
				    .slot_changed = nothing,
				    .slot_free = on_slot_free,
				    .pool_free = on_pool_free};

/* ---- steps ---- */

static struct worker *worker_of(struct world *world, unsigned number)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		struct worker *worker = &world->workers[(number + i) % WORKERS];
		if (worker->slot)
			return worker;
	}
	return NULL;
}

/* Slots that leave keep their workers until they have finished: who resizes again and again must wait. */
static bool has_room(const struct world *world)
{
	unsigned n = 0;

	for (unsigned i = 0; i < WORKERS; i++)
		n += world->workers[i].slot != NULL;
	return n < WORKERS / 2;
}

static void worker_goes(struct worker *worker, int status)
{
	struct slot *slot = worker->slot;

	worker->slot = NULL;
	slot_on_gone(slot, status, NULL);
}

/* The next value of the input, as the supervisor lets it pass. Size 0: there is none. */
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

static void worker_says(struct world *world, struct worker *worker)
{
	const struct span value = take_value(world);

	if (worker && value.size > 0 && slot_on_message(worker->slot, value, NULL) < 0)
		worker_goes(worker, 9);
}

static void cancel(struct client *client, struct reader params)
{
	struct error why;
	uint64_t msgid;
	uint32_t n;

	if (read_array(&params, &n) < 0 || n != 1 || read_uint(&params, &msgid) < 0)
		return;
	struct ticket *ticket = idmap_get(&client->inflight, msgid);
	error_say(&why, ERROR_CANCELLED, RAN_NO, "cancelled");
	if (ticket)
		ticket->abandoned(ticket, &why);
}

static void client_says(struct world *world, struct client *client)
{
	const struct span waiting = {.bytes = world->next, .size = (size_t)(world->end - world->next)};
	const size_t train = client_accepts(client) ? request_train(client, waiting, &(uint32_t){0}) : 0;

	world->next += train;
	if (train > 0)
		return;
	const struct span value = take_value(world);
	struct rpc rpc;

	if (value.size == 0 || rpc_parse(value, &rpc) < 0 || rpc.type == RPC_RESPONSE || !client_accepts(client))
		return;
	if (rpc.type == RPC_NOTIFICATION && span_is(rpc.method, "objpool.feed"))
		request_feed(client, &rpc, NULL);
	else if (rpc.type == RPC_NOTIFICATION && span_is(rpc.method, "objpool.feed_end"))
		request_feed_end(client, &rpc);
	else if (rpc.type == RPC_NOTIFICATION && span_is(rpc.method, "objpool.cancel"))
		cancel(client, reader_of(rpc.params));
	else
		(void)(span_is(rpc.method, "objpool.call") ? request_full_call : request_call)(client, &rpc, NULL);
}

/* All that clients get must be whole messages. */
static void check_answers(const struct sendq *out)
{
	uint8_t *bytes = malloc(out->bytes + 1);
	size_t size = 0;

	for (const struct sendq_segment *segment = out->head; segment; segment = segment->next) {
		memcpy(bytes + size, segment->bytes + segment->off, segment->len - segment->off);
		size += segment->len - segment->off;
	}
	if (size != out->bytes)
		abort();
	for (size_t at = 0; at < size;) {
		const int64_t n = scan_length(bytes + at, size - at);
		if (n <= 0)
			abort();
		at += (size_t)n;
	}
	free(bytes);
}

static void client_reads(struct client *client)
{
	check_answers(&client->out);
	sendq_sent(&client->out, client->out.bytes);
	client_on_sent(client);
}

static void client_goes(struct world *world, struct client *client)
{
	client_gone(client);
	client_init(client, &world->core);
	client->error_form = (enum error_form)(client->id % ERROR_FORMS);
}

static void worker_begins(struct world *world, struct worker *worker)
{
	struct batch *batch;

	if (!worker)
		return;
	TAILQ_FOREACH(batch, &worker->slot->handed, link) {
		(void)board_move(worker->board, batch->id, BOARD_HANDED, BOARD_STARTED);
		(void)board_begin_item(worker->board, batch->id);
	}
	worker->board->since = world->core.now;
}

static void worker_scribbles(struct worker *worker, uint8_t what)
{
	if (!worker)
		return;
	struct board_entry *entry = &worker->board->entries[what & 7];
	const uint64_t word = entry->word;
	switch (what >> 3 & 7) {
	case 0: entry->items = UINT64_MAX; break;
	case 1: entry->spent = UINT32_MAX; break;
	case 2: entry->word = word | BOARD_COMMITTED; break;
	case 3: entry->word = (word & ~(uint64_t)0xff) | BOARD_HANDED; break;
	case 4: entry->word = UINT64_MAX; break;
	case 5: worker->board->since = what & 1 ? 1 : UINT64_MAX; break;
	case 6: worker->board->running = what; break;
	default: worker->board->ledger[what & 7] = (uint64_t)(what & 7) << 8 | (what >> 6); break;
	}
}

static uint8_t take_byte(struct world *world)
{
	return world->next < world->end ? *world->next++ : 0;
}

static void pass_time(struct world *world, uint64_t nanoseconds)
{
	world->core.now += nanoseconds;
	timers_run(&world->core.timers, world->core.now, UINT32_MAX);
	core_end_event(&world->core);
}

static void lease(struct world *world, struct client *client, uint8_t slot)
{
	const struct rpc rpc = {.type = RPC_REQUEST, .msgid = 1000 + slot};
	const struct lease_options options = {.slot = (int64_t)(slot % 4) - 1, .patience = SECOND, .time = slot & 4 ? SECOND : 0};

	if (options.slot < (int64_t)world->pool->size && !idmap_get(&client->inflight, rpc.msgid))
		(void)lease_begin(client, &rpc, world->pool, &options);
}

static void release(struct world *world, struct client *client)
{
	struct lease *held = lease_find(client, world->pool, -1);

	if (held)
		lease_release(held);
}

static void step(struct world *world, uint8_t byte)
{
	const unsigned number = byte & (unsigned)~STEP;
	struct client *client = &world->clients[number % CLIENTS];
	struct worker *worker = worker_of(world, number);

	switch ((enum step)(byte & STEP)) {
	case WORKER_SAYS: worker_says(world, worker); break;
	case CLIENT_SAYS: client_says(world, client); break;
	case CLIENT_READS: client_reads(client); break;
	case CLIENT_ENDS_INPUT: client_on_input_end(client); break;
	case CLIENT_GOES: client_goes(world, client); break;
	case WORKER_BEGINS: worker_begins(world, worker); break;
	case WORKER_READS:
		if (worker)
			sendq_sent(&worker->slot->out, worker->slot->out.bytes);
		break;
	case WORKER_SCRIBBLES: worker_scribbles(worker, take_byte(world)); break;
	case WORKER_GOES:
		if (worker)
			worker_goes(worker, number & 1 ? 9 : 0);
		break;
	case TIME: pass_time(world, (UINT64_C(1) << number) * MILLISECOND); break;
	case RESIZE:
		if (has_room(world))
			(void)pool_resize(world->pool, 1 + number % 4);
		break;
	case RESTART: (void)slot_restart(world->pool->slots[number % world->pool->size], "restart"); break;
	case LEASE: lease(world, client, take_byte(world)); break;
	case RELEASE: release(world, client); break;
	case STEP: pass_time(world, 1); break;
	}
	core_end_event(&world->core);
}

/* ---- the run ---- */

/* Everybody goes, and nothing may be left. */
static void end(struct world *world)
{
	struct worker *worker;

	for (unsigned i = 0; i < CLIENTS; i++) {
		check_answers(&world->clients[i].out);
		client_gone(&world->clients[i]);
	}
	pool_drop(world->pool, ERROR_CANCELLED, "the end");
	while ((worker = worker_of(world, 0)))
		worker_goes(worker, 9);
	core_end_event(&world->core);
	for (int i = 0; i < 100 && !world->pool_gone; i++)
		pass_time(world, SECOND);
	if (!world->pool_gone)
		abort();
	core_free(&world->core);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct core_limits limits = {
		.max_message = MESSAGE, .max_inflight = 100, .max_pending = 1 << 20, .max_unsent = 1 << 12};
	const struct pool_settings settings = {.max_queue = 20,
					       .max_sticky = 1 << 12,
					       .start_timeout = 10 * SECOND,
					       .stop_timeout = SECOND,
					       .cancel_grace = SECOND,
					       .max_calls = 20,
					       .max_age = NEVER,
					       .workers_min = 1,
					       .workers_max = 4,
					       .idle_timeout = size & 1 ? NEVER : SECOND};
	struct world world = {.next = bytes, .end = bytes + size};

	the_world = &world;
	core_init(&world.core, &ops, &limits);
	world.core.now = SECOND;
	world.pool = pool_new(&world.core, "p", 2, &settings, NULL);
	world.pool->has_snapshot = size & 2;
	world.pool->has_leased = size & 4;
	world.pool->tells_sessions = size & 8;
	for (unsigned i = 0; i < CLIENTS; i++)
		client_init(&world.clients[i], &world.core);
	while (world.next < world.end)
		step(&world, take_byte(&world));
	end(&world);
	return 0;
}
