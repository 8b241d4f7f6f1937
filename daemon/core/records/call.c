/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/call.h"

#include "proto/scan.h"
#include "proto/traceparent.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* ---- being made ---- */

/* A span of a text that lay at `from`, and lies at `to` now. */
static struct span moved(struct span span, const uint8_t *from, const uint8_t *to)
{
	return (struct span){.bytes = to + (span.bytes - from), .size = span.size};
}

/* Takes the memory of a small call that has ended. Small calls come and go by the million. */
static void *take_spare(struct core *core)
{
	struct spare_call *spare = core->spare_calls;
	core->spare_calls = spare->next;
	core->spare_count--;
	return spare;
}

static void call_init(struct call *call, struct client *client, size_t memory)
{
	account_charge(client->account, memory);
	*call = (struct call){.core = client->core, .session = client->id, .account = client->account, .memory = memory,
			      .rights = rights_ref(client->rights), .stream.ordered = true};
	TAILQ_INIT(&call->parts);
	TAILQ_INIT(&call->input.items);
}

struct call *call_new_with(struct client *client, size_t room)
{
	struct call *call = malloc(sizeof *call + room);

	if (call)
		call_init(call, client, sizeof *call + room);
	return call;
}

struct call *call_new(struct client *client, struct rpc *rpc, struct block *block)
{
	const uint8_t *begin = rpc->method.bytes;
	const size_t size = (size_t)(rpc->params.bytes + rpc->params.size - begin);
	struct block *shared = block && (size >= SENDQ_SHARE || block->files) ? client_claim(client, block, size) : NULL;
	const bool small = size <= CALL_SMALL && !shared; /* a call that shares the block keeps no bytes of its own */
	const size_t room = sizeof(struct call) + (shared ? 0 : small ? CALL_SMALL : size);
	struct call *call = small && client->core->spare_calls ? take_spare(client->core) : malloc(room);
	if (!call)
		return NULL;
	call_init(call, client, room);
	call->size = size;
	call->small = small;
	if (shared) {
		call->block = block_ref(shared);
		call->size += block->files ? block->files->count * (uint64_t)CALL_FILE : 0;
		return call;
	}
	uint8_t *copy = (uint8_t *)(call + 1);
	memcpy(copy, begin, size);
	rpc->method = moved(rpc->method, begin, copy);
	rpc->params = moved(rpc->params, begin, copy);
	return call;
}

int call_trace_by(struct call *call, const void *text)
{
	char *kept = call->traceparent ? call->traceparent : malloc(TRACEPARENT + 1);

	if (!kept)
		return -ENOMEM;
	if (!call->traceparent) {
		account_charge(call->account, TRACEPARENT + 1);
		call->memory += TRACEPARENT + 1;
	}
	memcpy(kept, text, TRACEPARENT);
	kept[TRACEPARENT] = '\0';
	call->traceparent = kept;
	return 0;
}

void call_collect(struct call *call)
{
	const struct core *labels = call->labels ? call->core : NULL;

	gather_init(&call->gather, call->account, labels);
	stream_init(&call->stream, call->account, labels);
}

void call_drop_results(struct call *call)
{
	if (!call_collects(call))
		return;
	gather_free(&call->gather);
	stream_free(&call->stream);
}

void call_linger(struct call *call)
{
	struct quota *quota = call->rights ? call->rights->quota : NULL;

	if (!quota || call->batches == 0 || call->lingers)
		return;
	call->lingers = true;
	quota->lingering++;
}

void call_free(struct call *call)
{
	struct core *core = call->core;

	assert(call->batches == 0);
	if (call->lingers)
		call->rights->quota->lingering--;
	call_drop_results(call);
	block_unref(call->block);
	block_unref(call->merged);
	if (call->keys) {
		account_credit(call->account, call->kwcolumns * sizeof *call->keys);
		free(call->keys);
	}
	account_credit(call->account, call->memory);
	free(call->traceparent);
	rights_unref(call->rights);
	if (!call->small || core->spare_count == CALL_SPARE) {
		free(call);
		return;
	}
	struct spare_call *spare = (struct spare_call *)call;
	spare->next = core->spare_calls;
	core->spare_calls = spare;
	core->spare_count++;
}

/* ---- batches ---- */

static size_t batch_memory(const struct call *call)
{
	return sizeof(struct batch) + call->columns * sizeof(const uint8_t *);
}

static void batch_reap(struct ending *ending)
{
	free(container_of(ending, struct batch, ending));
}

struct batch *batch_new(struct call *call, uint64_t first, uint32_t count, const uint8_t *const *at)
{
	struct batch *batch = malloc(batch_memory(call));
	if (!batch)
		return NULL;
	*batch = (struct batch){.call = call, .ending.reap = batch_reap, .first = first, .count = count};
	account_charge(call->account, batch_memory(call));
	if (call->columns)
		memcpy(batch->at, at, call->columns * sizeof *at);
	TAILQ_INSERT_TAIL(&call->parts, batch, of_call);
	call->batches++;
	return batch;
}

struct batch *batch_of_single(struct call *call)
{
	struct batch *batch = &call->only;

	batch->call = call;
	batch->embedded = true;
	batch->count = 1;
	call->batches++;
	return batch;
}

const uint8_t *items_skip(const uint8_t *at, uint32_t count)
{
	/* The items were scanned when they came: so they have an end. */
	struct scan scan;
	scan_begin_many(&scan, count, INT64_MAX);
	(void)scan_run(&scan, at, PTRDIFF_MAX);
	return at + scan.pos;
}

bool batch_is_wanted(const struct batch *batch)
{
	const struct train *train = batch->call->train;

	if (!train)
		return !batch->call->answered;
	for (uint32_t i = batch->done; i < batch->count; i++)
		if (train->passengers[batch->first + i].ticket.client)
			return true;
	return false;
}

const uint8_t *batch_item(const struct batch *batch, uint32_t column, uint32_t count)
{
	const struct train *train = batch->call->train;

	if (!train)
		return items_skip(batch->at[column], count);
	if (count == 0)
		return batch->at[0];
	const struct passenger *last = &train->passengers[batch->first + count - 1];
	return train->bytes + last->at + last->size;
}

struct batch *batch_cut(struct batch *waiting, uint32_t count)
{
	assert(count > 0 && count < waiting->count);
	struct batch *part = batch_new(waiting->call, waiting->first, count, waiting->at);
	if (!part)
		return NULL;
	part->returned = waiting->returned;
	for (uint32_t c = 0; c < waiting->call->columns; c++)
		waiting->at[c] = batch_item(waiting, c, count);
	waiting->first += count;
	waiting->count -= count;
	if (waiting->block) {
		part->block = block_ref(waiting->block);
		part->bytes = (uint64_t)(waiting->at[0] - part->at[0]);
		waiting->bytes -= part->bytes;
	}
	return part;
}

void batch_split(struct batch *batch, uint32_t kept, struct batch *rest)
{
	assert(kept > 0 && kept < batch->count && rest->count == batch->count);
	for (uint32_t c = 0; c < batch->call->columns; c++)
		rest->at[c] = batch_item(rest, c, kept);
	rest->first += kept;
	rest->count -= kept;
	batch->count = kept;
	if (batch->block) {
		const uint64_t bytes = (uint64_t)(rest->at[0] - batch->at[0]);
		rest->block = block_ref(batch->block);
		rest->bytes = batch->bytes - bytes;
		batch->bytes = bytes;
	}
}

void batch_drop_done(struct batch *batch)
{
	for (uint32_t c = 0; c < batch->call->columns; c++)
		batch->at[c] = batch_item(batch, c, batch->done);
	batch->first += batch->done;
	batch->count -= batch->done;
	batch->done = 0;
}

struct batch *batch_defer(struct batch *batch)
{
	struct call *call = batch->call;

	if (batch->count == 1) {
		batch->done = 0;
		return batch;
	}
	struct batch *one = batch_new(call, batch->first + batch->done, 1, batch->at); /* its items are not read again */
	if (one)
		batch->done++;
	return one;
}

void batch_undefer(struct batch *batch, struct batch *one)
{
	if (one == batch)
		return;
	batch->done--;
	batch_free(one);
}

void batch_free(struct batch *batch)
{
	struct call *call = batch->call;

	assert(!batch->flow);
	if (batch->block) {
		block_unref(batch->block);
		call->size -= batch->bytes;
		if (!call->answered && call->ticket.client)
			call->ticket.client->pending -= batch->bytes;
	}
	if (!batch->embedded) {
		TAILQ_REMOVE(&call->parts, batch, of_call);
		account_credit(call->account, batch_memory(call));
		core_reap_later(call->core, &batch->ending);
	}
	call->batches--;
}

void batch_end_yield(const struct batch *batch)
{
	struct yield *yield = &batch->call->yield;

	if (yield->batch != batch)
		return;
	if (yield->waits_for)
		TAILQ_REMOVE(&yield->waits_for->yielding, batch->call, yield.link);
	yield->waits_for = NULL;
	yield->batch = NULL;
}

void batch_end(struct batch *batch)
{
	struct call *call = batch->call;

	batch_end_yield(batch);
	batch_free(batch);
	if (call->batches == 0)
		core_reap_later(call->core, &call->ending);
}
