/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/entry/probe.h"

#include "daemon/core/calls/call_life.h"
#include "daemon/core/calls/client_end.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/records/slot.h"

#include <stdio.h>

/* The method "", and no arguments. */
static const uint8_t request[] = {0xa0, 0x90};

static void refuse(struct probe *probe, const struct error *error)
{
	client_answer_error(&probe->client, 0, error);
}

static void refuse_for_memory(struct probe *probe)
{
	struct error error;

	error_no_memory(&error, RAN_NO);
	refuse(probe, &error);
}

void probe_begin(struct probe *probe, struct pool *pool, uint64_t deadline)
{
	struct rpc rpc = {.type = RPC_REQUEST,
			  .method = {.bytes = request + 1, .size = 0},
			  .params = {.bytes = request + 1, .size = 1}};
	struct error error;
	struct call *call;

	client_init(&probe->client, pool->core);
	probe->client.internal = true;
	if (pool->size == 0 || pool->paused) { /* a pool without a worker is not woken for this; one that is paused runs nothing */
		sendq_copy(&probe->client.out, "\x94\x01\x00\xc0\xc0", 5);
		return;
	}
	if (!pool_is_available(pool)) {
		pool_say_unavailable(pool, &error);
		refuse(probe, &error);
		return;
	}
	call = call_new(&probe->client, &rpc, NULL);
	if (!call) {
		refuse_for_memory(probe);
		return;
	}
	call->pool = pool;
	call->select = SELECT_ANY;
	call->name = rpc.method;
	call->args = rpc.params;
	call->total = 1;
	call->deadline = deadline;
	if (call_begin(call, &probe->client, &rpc, NULL) < 0)
		refuse_for_memory(probe);
}

/* Copies as much of the answer as fits. */
static struct span answer(const struct probe *probe, uint8_t *room, size_t size)
{
	struct iovec iov[8];
	const int n = sendq_iov(&probe->client.out, iov, 8);
	size_t at = 0;

	for (int i = 0; i < n && at < size; i++) {
		const size_t part = iov[i].iov_len < size - at ? iov[i].iov_len : size - at;
		memcpy(room + at, iov[i].iov_base, part);
		at += part;
	}
	return (struct span){.bytes = room, .size = at};
}

bool probe_succeeded(const struct probe *probe, char *reason, size_t size)
{
	uint8_t room[1024];
	struct rpc rpc;
	struct span text;

	snprintf(reason, size, "INTERNAL: the answer can't be read");
	if (probe->client.out.failed || probe->client.out.bytes > sizeof room)
		return false;
	if (rpc_parse(answer(probe, room, sizeof room), &rpc) < 0)
		return false;
	struct reader reader = reader_of(rpc.error);
	if (read_nil(&reader) == 0)
		return true;
	if (read_text(&reader, &text) == 0)
		snprintf(reason, size, "%.*s", (int)text.size, (const char *)text.bytes);
	return false;
}

void probe_end(struct probe *probe)
{
	client_gone(&probe->client);
}

static bool is_busy(const struct slot *slot)
{
	const struct batch *batch = TAILQ_FIRST(&slot->handed);
	if (slot->state == SLOT_READY && slot->leased)
		return true;
	if (slot->state != SLOT_READY || slot->killed || !batch || call_is_probe(batch->call))
		return false;
	return board_state(slot->board, batch->id) == BOARD_STARTED; /* CANCELLED: nobody waits for it */
}

bool probe_finds_busy(const struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size; i++)
		if (is_busy(pool->slots[i]))
			return true;
	return false;
}
