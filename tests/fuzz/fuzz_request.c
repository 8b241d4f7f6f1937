/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a stranger, at the same door as a session's, on a pool whose worker never answers. */
#include "daemon/core/calls/client_end.h"
#include "daemon/core/entry/from_worker.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/life/pool_life.h"
#include "daemon/core/entry/request.h"
#include "daemon/core/entry/request_train.h"
#include "daemon/core/life/slot_life.h"
#include "proto/scan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void nothing_client(struct client *client) { (void)client; }
static void nothing(struct slot *slot) { (void)slot; }
static void nothing_pool(struct pool *pool) { (void)pool; }
static void start(struct slot *slot)
{
	if (!slot->board)
		slot->board = calloc(1, sizeof *slot->board);
}
static void free_slot(struct slot *slot) { free(slot->board); }

static const struct core_ops ops = {.client_wrote = nothing_client,
				    .slot_wrote = nothing,
				    .slot_start = start,
				    .slot_kill = nothing,
				    .slot_nudge = nothing,
				    .slot_changed = nothing,
				    .slot_free = free_slot,
				    .pool_free = nothing_pool};

static void cancel(struct client *client, const struct rpc *rpc)
{
	struct reader reader = reader_of(rpc->params);
	struct error why;
	uint64_t msgid;
	uint32_t n;

	if (read_array(&reader, &n) < 0 || n != 1 || read_uint(&reader, &msgid) < 0)
		return;
	struct ticket *ticket = idmap_get(&client->inflight, msgid);
	error_say(&why, ERROR_CANCELLED, RAN_NO, "cancelled");
	if (ticket)
		ticket->abandoned(ticket, &why);
}

static int take(struct client *client, struct rpc *rpc)
{
	if (span_is(rpc->method, "objpool.cancel")) {
		cancel(client, rpc);
		return 0;
	}
	if (rpc->type == RPC_NOTIFICATION && span_is(rpc->method, "objpool.feed"))
		request_feed(client, rpc, NULL);
	else if (rpc->type == RPC_NOTIFICATION && span_is(rpc->method, "objpool.feed_end"))
		request_feed_end(client, rpc);
	else
		return (span_is(rpc->method, "objpool.call") ? request_full_call : request_call)(client, rpc, NULL);
	return 0;
}

static void send_all(struct client *client, const uint8_t *bytes, size_t size)
{
	struct scan scan;
	struct rpc rpc;

	for (size_t at = 0; at < size; at += (size_t)scan.pos) {
		const size_t train = request_train(client, (struct span){.bytes = bytes + at, .size = size - at}, &(uint32_t){0});
		if (train > 0) {
			scan.pos = train;
			continue;
		}
		scan_begin(&scan, 1 << 20);
		if (scan_run(&scan, bytes + at, size - at) != 1 || scan.over || scan.deep)
			return;
		const struct span message = {.bytes = bytes + at, .size = (size_t)scan.pos};
		if (rpc_parse(message, &rpc) < 0 || rpc.type == RPC_RESPONSE)
			return;
		if (take(client, &rpc) < 0)
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct core_limits limits = {
		.max_message = 1 << 20, .max_inflight = 100, .max_pending = 1 << 20, .max_unsent = 1 << 20};
	const struct pool_settings settings = {.max_queue = 100,
					       .max_sticky = 1 << 20,
					       .start_timeout = NEVER,
					       .stop_timeout = NEVER,
					       .cancel_grace = NEVER,
					       .max_age = NEVER,
					       .workers_min = 3,
					       .workers_max = 3,
					       .idle_timeout = NEVER};
	static const uint8_t ready[] = {0x91, FROM_READY};
	struct core core;
	struct client client;

	core_init(&core, &ops, &limits);
	core.now = SECOND;
	struct pool *pool = pool_new(&core, "p", 3, &settings, NULL);
	for (uint32_t i = 0; i < 2; i++) /* one starts for ever */
		if (slot_on_message(pool->slots[i], (struct span){.bytes = ready, .size = sizeof ready}, NULL) < 0)
			abort();
	client_init(&client, &core);
	client.error_form = size > 0 ? (enum error_form)(bytes[size - 1] % ERROR_FORMS) : ERRORS_AS_STRING;
	send_all(&client, bytes, size);
	core.now += SECOND;
	timers_run(&core.timers, core.now, UINT32_MAX);
	client_gone(&client);
	struct slot *slots[3] = {pool->slots[0], pool->slots[1], pool->slots[2]};
	pool_drop(pool, ERROR_CANCELLED, "the end");
	for (uint32_t i = 0; i < 3; i++)
		slot_on_gone(slots[i], 9, NULL);
	core_free(&core);
	return 0;
}
