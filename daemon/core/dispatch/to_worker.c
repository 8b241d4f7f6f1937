/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/dispatch/to_worker.h"

#include "daemon/core/dispatch/put.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/dispatch/sticky.h"
#include "proto/pack.h"
#include "proto/payload_ref.h"
#include "proto/scan.h"
#include "proto/traceparent.h"

/* ---- what travels beside the socket ---- */

/* Does the value go by descriptor: does the worker map the block instead of reading the bytes? */
static bool by_descriptor(const struct slot *slot, const struct block *block, size_t size)
{
	const uint64_t least = slot->pool->core->limits.payload_min;
	return block && block->fd >= 0 && least > 0 && size >= least;
}

/* Writes packed values: their bytes, or an ext that stands for them. */
static void put_span(struct slot *slot, struct block *block, struct span span)
{
	uint8_t ref[PAYLOAD_REF];

	if (!by_descriptor(slot, block, span.size)) {
		sendq_span(&slot->out, block, span.bytes, span.size);
		return;
	}
	payload_write_ref(ref, PAYLOAD_VALUES, (struct payload_ref){.file = PAYLOAD_SELF, .length = span.size,
								    .offset = (uint64_t)(span.bytes - block->bytes)});
	sendq_copy(&slot->out, ref, sizeof ref);
}

/* The files that one message needs: which of the files that came with the call, and the file of the block that the call lies
 * in. */
struct needed {
	bool of_caller[PAYLOAD_FILES];
	bool self;
	uint32_t count;
};

static void need(struct needed *needed, const struct block *files, const struct slot *slot, const struct block *block,
		 struct span span)
{
	struct reader reader = reader_of(span);
	struct payload_ref ref;

	while (files && files->files && read_find_ref(&reader, &ref))
		if (ref.file < files->files->count && !needed->of_caller[ref.file]) {
			needed->of_caller[ref.file] = true;
			needed->count++;
		}
	if (!needed->self && by_descriptor(slot, block, span.size)) {
		needed->self = true;
		needed->count++;
	}
}

/* Writes the message that goes ahead and passes the descriptors. `files` is the block that came with descriptors, `self` the
 * block in which the spans lie. */
static void put_files(struct slot *slot, const struct needed *needed, const struct block *files, struct block *self)
{
	struct sendq *out = &slot->out;

	if (needed->count == 0)
		return;
	for (uint32_t i = 0; i < PAYLOAD_FILES; i++)
		if (needed->of_caller[i])
			sendq_pass(out, files->files->file[i]);
	if (needed->self)
		sendq_pass(out, self);
	put_array(out, 2);
	put_uints(out, (uint64_t[]){TO_FILES}, 1);
	put_array(out, needed->count);
	for (uint64_t i = 0; i < PAYLOAD_FILES; i++)
		if (needed->of_caller[i])
			put_uints(out, &i, 1);
	if (needed->self)
		put_uints(out, (uint64_t[]){PAYLOAD_SELF}, 1);
}

/* ---- messages ---- */

void to_worker_start(struct slot *slot, int64_t supervisor_pid, struct span args, struct span kwargs, struct span slot_kwargs)
{
	struct sendq *out = &slot->out;
	const struct pool *pool = slot->pool;

	put_array(out, 12);
	put_uints(out, (uint64_t[]){TO_START, (uint64_t)supervisor_pid}, 2);
	put_text(out, pool->name, strlen(pool->name));
	put_uints(out, (uint64_t[]){slot->index, pool->size, slot->generation}, 3);
	put_value(out, NULL, args);
	put_value(out, NULL, kwargs);
	put_value(out, NULL, slot_kwargs);
	put_uints(out, (uint64_t[]){pool->core->limits.max_message}, 1);
	slot->told_start = true;
	/* The predecessor's state will have the effects of the sticky calls. Without a state they are replayed later. */
	if (slot->predecessor && pool->has_snapshot) {
		slot->replay.until = 0;
		sendq_copy(out, "\x90\xc2", 2);
		return;
	}
	replay_begin(slot, 0);
	replay_put(slot, out);
}

void to_worker_portion(struct slot *slot)
{
	put_array(&slot->out, 3);
	put_uints(&slot->out, (uint64_t[]){TO_REPLAY}, 1);
	replay_put(slot, &slot->out);
	slot->pool->core->ops->slot_wrote(slot);
}

void to_worker_replay(struct slot *slot)
{
	const bool under_way = slot->replay.on;

	if (!slot->told_start || slot->replay.until == slot->pool->stickies.last)
		return;
	replay_begin(slot, slot->replay.until);
	if (!under_way)
		to_worker_portion(slot);
}

/* Most calls: one reservation, one copy, and room for the arguments. */
static void put_call_head(struct sendq *out, const struct call *call, const struct batch *batch, uint8_t fields)
{
	const size_t n = call->name.size;
	if (n > SENDQ_SEGMENT / 2) { /* no class has so long a name: the worker will say so */
		put_array(out, fields);
		put_uints(out, (uint64_t[]){TO_CALL, batch->id, call->session}, 3);
		put_text(out, call->name.bytes, n);
		return;
	}
	uint8_t *p = sendq_reserve_with(out, 2 + 3 * PACK_UINT + PACK_HEAD + n, call->args.size);
	if (!p)
		return;
	uint8_t *end = p;
	*end++ = 0x90 | fields;
	*end++ = TO_CALL;
	end = pack_uint(end, batch->id);
	end = pack_uint(end, call->session);
	end = pack_str(end, (const char *)call->name.bytes, n);
	sendq_commit(out, (size_t)(end - p));
}

static void put_bound(struct slot *slot, struct block *block, struct span value)
{
	if (value.size > 0)
		put_span(slot, block, value);
	else
		put_value(&slot->out, NULL, value);
}

static void put_call_files(struct slot *slot, const struct call *call, struct block *block)
{
	struct needed needed = {0};

	need(&needed, call->block, slot, block, call->args);
	need(&needed, call->block, slot, block, call->kwargs);
	put_files(slot, &needed, call->block, block);
}

static void put_trace(struct sendq *out, const struct call *call)
{
	if (call->traceparent)
		put_text(out, call->traceparent, TRACEPARENT);
}

static void put_call(struct slot *slot, const struct batch *batch)
{
	const struct call *call = batch->call;
	struct sendq *out = &slot->out;
	struct block *block = call->merged ? call->merged : call->block;
	const bool more = call->deadline > 0 || call->kwargs.size > 0 || call->progress || call_takes_yields(call) ||
			  call->traceparent;

	if (block)
		put_call_files(slot, call, block);
	put_call_head(out, call, batch, call->traceparent ? 9 : more ? 8 : 5);
	put_span(slot, block, call->args);
	if (!more)
		return;
	put_uints(out, &call->deadline, 1);
	put_bound(slot, block, call->kwargs);
	put_uints(out, (uint64_t[]){(call->progress ? CALL_PROGRESS : 0u) | (call_takes_yields(call) ? CALL_YIELDS : 0u)}, 1);
	put_trace(out, call);
}

/* The worker keeps bind and bind_kwargs until the call ends, so that they aren't sent with every batch. */
static void put_binding(struct slot *slot, const struct call *call)
{
	if (!call->binding || idmap_get(&slot->bound, call->binding))
		return;
	if (idmap_add(&slot->bound, call->binding, slot) < 0) {
		slot->out.failed = true;
		return;
	}
	struct needed needed = {0};
	need(&needed, call->block, slot, call->block, call->bind);
	need(&needed, call->block, slot, call->block, call->bind_kwargs);
	put_files(slot, &needed, call->block, call->block);
	put_array(&slot->out, 4);
	put_uints(&slot->out, (uint64_t[]){TO_BIND, call->binding}, 2);
	put_bound(slot, call->block, call->bind);
	put_bound(slot, call->block, call->bind_kwargs);
}

static struct block *items_block(const struct batch *batch)
{
	return batch->block ? batch->block : batch->call->block;
}

static struct span column_span(const struct batch *batch, uint32_t column)
{
	const uint8_t *from = batch->at[column], *to = batch_item(batch, column, batch->count);
	return (struct span){.bytes = from, .size = (size_t)(to - from)};
}

static void put_column(struct slot *slot, const struct batch *batch, struct span span)
{
	struct block *block = items_block(batch);

	if (!by_descriptor(slot, block, span.size))
		put_array(&slot->out, batch->count);
	put_span(slot, block, span);
}

static void put_items_files(struct slot *slot, const struct batch *batch, const struct span *columns)
{
	struct block *block = items_block(batch);
	struct needed needed = {0};

	if (!block || (block->fd < 0 && !block->files))
		return;
	for (uint32_t c = 0; c < batch->call->columns; c++)
		need(&needed, block, slot, block, columns[c]);
	put_files(slot, &needed, block, block);
}

static void put_items(struct slot *slot, const struct batch *batch)
{
	const struct call *call = batch->call;
	struct sendq *out = &slot->out;
	const uint32_t positional = call->columns - call->kwcolumns;
	struct span columns[CALL_COLUMNS];

	for (uint32_t c = 0; c < call->columns; c++)
		columns[c] = column_span(batch, c);
	put_items_files(slot, batch, columns);
	put_array(out, call->traceparent ? 12 : 11);
	put_uints(out, (uint64_t[]){TO_ITEMS, batch->id, call->session}, 3);
	put_text(out, call->name.bytes, call->name.size);
	put_uints(out, (uint64_t[]){call->deadline, call->binding, call->shape, batch->first, batch->count}, 5);
	put_array(out, positional);
	for (uint32_t c = 0; c < positional; c++)
		put_column(slot, batch, columns[c]);
	put_map(out, call->kwcolumns);
	for (uint32_t k = 0; k < call->kwcolumns; k++) {
		sendq_copy(out, call->keys[k].bytes, call->keys[k].size);
		put_column(slot, batch, columns[positional + k]);
	}
	put_trace(out, call);
}

/* The requests of a train go as they came. */
static void put_train(struct sendq *out, const struct batch *batch)
{
	const struct call *call = batch->call;
	const struct span requests = column_span(batch, 0);

	put_array(out, 7);
	put_uints(out, (uint64_t[]){TO_CALLS, batch->id, call->session}, 3);
	put_text(out, call->name.bytes, call->name.size);
	put_uints(out, (uint64_t[]){batch->first, batch->count}, 2);
	put_array(out, batch->count);
	sendq_copy(out, requests.bytes, requests.size);
}

void to_worker_batch(const struct batch *batch)
{
	struct slot *slot = batch->slot;
	if (batch->call->train) {
		put_train(&slot->out, batch);
	} else if (batch->call->columns > 0) {
		put_binding(slot, batch->call);
		put_items(slot, batch);
	} else {
		put_call(slot, batch);
	}
	slot->pool->core->ops->slot_wrote(slot);
}

static void put_number(struct sendq *out, enum to_worker type, uint64_t number)
{
	put_array(out, 2);
	put_uints(out, (uint64_t[]){type, number}, 2);
}

static void put_message(struct slot *slot, enum to_worker type, uint64_t number)
{
	put_number(&slot->out, type, number);
	slot->pool->core->ops->slot_wrote(slot);
}

void to_worker_unbind(struct slot *slot, uint32_t binding)
{
	if (idmap_remove(&slot->bound, binding) && slot->state == SLOT_READY)
		put_message(slot, TO_UNBIND, binding);
}

void to_worker_taken(const struct batch *batch, uint64_t bytes)
{
	struct slot *slot = batch->slot;

	put_array(&slot->out, 3);
	put_uints(&slot->out, (uint64_t[]){TO_TAKEN, batch->tag ? TASK_DEFERRED + batch->tag : batch->id, bytes}, 3);
	slot->pool->core->ops->slot_wrote(slot);
}

void to_worker_gone(struct slot *slot, uint64_t tag)
{
	put_message(slot, TO_GONE, tag);
}

void to_worker_session_end(struct slot *slot, uint64_t session)
{
	put_message(slot, TO_SESSION_END, session);
}

void to_worker_session_end_later(struct slot *successor, uint64_t session)
{
	put_number(&successor->later, TO_SESSION_END, session);
}

void to_worker_later(struct slot *successor)
{
	sendq_move(&successor->out, &successor->later);
	successor->pool->core->ops->slot_wrote(successor);
}

void to_worker_lease(struct slot *slot, uint64_t session)
{
	put_message(slot, TO_LEASE, session);
}

void to_worker_release(struct slot *slot, uint64_t session)
{
	if (slot->pool->has_leased && slot->state == SLOT_READY)
		put_message(slot, TO_RELEASE, session);
}

void to_worker_attach(struct slot *slot, uint32_t place, const struct client *client, uint64_t tell_every, struct block *socket,
		      bool rings)
{
	struct sendq *out = &slot->out;

	sendq_pass(out, socket);
	put_array(out, 2);
	put_uints(out, (uint64_t[]){TO_FILES}, 1);
	put_array(out, 1);
	put_uints(out, (uint64_t[]){0}, 1);
	put_array(out, 7);
	put_uints(out, (uint64_t[]){TO_ATTACH, place, client->id, client->error_form, tell_every,
				    slot->pool->settings.stop_timeout, rings}, 7);
	slot->pool->core->ops->slot_wrote(slot);
}

void to_worker_detach(struct slot *slot, uint32_t place, const char *reason)
{
	put_array(&slot->out, 3);
	put_uints(&slot->out, (uint64_t[]){TO_DETACH, place}, 2);
	put_text(&slot->out, reason, strlen(reason));
	slot->pool->core->ops->slot_wrote(slot);
}

void to_worker_drop(struct slot *slot, uint32_t place, uint64_t number)
{
	put_array(&slot->out, 3);
	put_uints(&slot->out, (uint64_t[]){TO_DROP, place, number}, 3);
	slot->pool->core->ops->slot_wrote(slot);
}

void to_worker_result(struct slot *slot, struct sendq *response)
{
	put_array(&slot->out, 2);
	put_uints(&slot->out, (uint64_t[]){TO_RESULT}, 1);
	sendq_move(&slot->out, response);
	slot->pool->core->ops->slot_wrote(slot);
}

void to_worker_stop(struct slot *slot, bool want_state)
{
	put_message(slot, TO_STOP, want_state);
}

void to_worker_restore(struct slot *slot, struct span state, struct block *block)
{
	put_array(&slot->out, 2);
	put_uints(&slot->out, (uint64_t[]){TO_RESTORE}, 1);
	sendq_span(&slot->out, block, state.bytes, state.size);
	slot->replay.restoring = true;
	slot->replay.until = slot->pool->stickies.last;
	slot->pool->core->ops->slot_wrote(slot);
}
