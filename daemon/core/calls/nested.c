/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/nested.h"

#include "daemon/core/calls/call_answer.h"
#include "daemon/core/calls/call_life.h"
#include "daemon/core/calls/client_end.h"
#include "daemon/core/calls/direct.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/dispatch/to_worker.h"
#include "daemon/core/calls/withdraw.h"

#include <errno.h>
#include <stdio.h>

/* The slot whose instance this client is. */
static struct slot *slot_of(const struct client *client)
{
	return container_of(client, struct slot, nested.client);
}

/* The `wrote` of a client that is an instance: sends the answer to the worker. */
static void on_wrote(struct client *client)
{
	to_worker_result(slot_of(client), &client->out);
}

bool nested_is(const struct client *client)
{
	return client->wrote == on_wrote;
}

/* The client of the call whose method makes the slot's nested call. NULL: it has gone. */
static const struct client *caller_in(const struct slot *slot)
{
	const struct batch *batch = slot_calling(slot);

	return slot->nested.direct ? slot->nested.direct->client : batch ? batch->call->ticket.client : NULL;
}

const struct client *nested_head(const struct client *client)
{
	while (client && nested_is(client))
		client = caller_in(slot_of(client));
	return client;
}

bool nested_comes_from(const struct client *client, const struct pool *pool)
{
	for (; client && nested_is(client); client = caller_in(slot_of(client)))
		if (slot_of(client)->pool == pool)
			return true;
	return false;
}

struct span nested_traceparent(const struct client *client)
{
	return nested_is(client) ? slot_of(client)->nested.traceparent : (struct span){0};
}

int8_t nested_priority(const struct client *client)
{
	const struct batch *batch = nested_is(client) ? slot_calling(slot_of(client)) : NULL;

	return batch ? batch->call->priority : 0;
}

void nested_begin(struct slot *slot)
{
	struct nested *nested = &slot->nested;

	if (nested->on)
		return;
	nested->on = true;
	client_init(&nested->client, slot->pool->core);
	nested->client.internal = true;
	nested->client.wrote = on_wrote;
	nested->client.error_form = ERRORS_AS_MAP;
}

void nested_end(struct slot *slot)
{
	if (slot->nested.on)
		client_gone(&slot->nested.client);
	slot->nested.on = false;
}

/* ---- who waits for whom ---- */

/* The call that the slot's method waits for, or NULL. */
static struct call *awaited_by(const struct slot *slot)
{
	struct ticket *ticket = slot_awaited(slot);
	return ticket ? call_of_ticket(ticket) : NULL;
}

static bool can_go(const struct call *call, uint64_t walk);

/* Will the slot come free for another task? When the walk comes to a slot again, it takes what it found the first time. */
static bool will_be_free(struct slot *slot, uint64_t walk)
{
	const struct call *awaited = awaited_by(slot);

	if (!awaited && slot->walk != walk)
		return true;
	if (slot->walk == walk)
		return slot->walk_free;
	slot->walk = walk;
	slot->walk_free = false;
	slot->walk_free = can_go(awaited, walk);
	return slot->walk_free;
}

static bool any_will_be_free(const struct pool *pool, uint64_t walk)
{
	for (uint32_t i = 0; i < pool->size; i++)
		if (will_be_free(pool->slots[i], walk))
			return true;
	return pool->size == 0;
}

static bool first_will_be_free(const struct pool *pool, uint64_t count, uint64_t walk)
{
	for (uint32_t i = 0; i < pool->size && i < count; i++)
		if (!will_be_free(pool->slots[i], walk))
			return false;
	return true;
}

/* Can a new call begin: will the slots that its tasks go to come free? */
static bool can_begin(const struct call *call, uint64_t walk)
{
	switch (call->select) {
	case SELECT_SLOT:
	case SELECT_KEY:
		return will_be_free(call->only.slot, walk);
	case SELECT_MAP:
		if (call->input.sync)
			return first_will_be_free(call->pool, call->total, walk);
		return call->total == 0 || any_will_be_free(call->pool, walk);
	case SELECT_ANY:
		return any_will_be_free(call->pool, walk);
	case SELECT_ALL:
	case SELECT_SCATTER:
		return first_will_be_free(call->pool, call->total, walk);
	}
	return true;
}

/* Is a task of the call in the slot's hands, put off there, or in its queue? The queue is searched by client, which is enough: an
 * instance has one nested call at a time. */
static bool is_at(const struct slot *slot, const struct call *call)
{
	const struct batch *batch;

	if (queue_has(&slot->queue, call->session))
		return true;
	TAILQ_FOREACH(batch, &slot->handed, link)
		if (batch->call == call)
			return true;
	TAILQ_FOREACH(batch, &slot->deferred, link)
		if (batch->call == call)
			return true;
	return false;
}

/* Can a call that has begun go on: will the slots that have its tasks come free? */
static bool can_go(const struct call *call, uint64_t walk)
{
	const struct pool *pool = call->pool;
	struct slot *slot;

	const bool waits = queue_has(&pool->queue, call->session) || queue_has(&pool->later, call->session);
	if (waits && !any_will_be_free(pool, walk))
		return false;
	if (call->input.count > 0 && !can_begin(call, walk))
		return false;
	SLOT_FOREACH(slot, pool)
		if (is_at(slot, call) && !will_be_free(slot, walk))
			return false;
	return true;
}

/* "q:1.b < p:0.a": the methods that wait, the nearest first. */
static void describe_path(const struct slot *slot, char *text, size_t size)
{
	size_t n = 0;

	text[0] = '\0';
	for (int depth = 0; slot && slot->nested.on && depth < 8 && n < size; depth++) {
		const struct batch *batch = slot_calling(slot);
		if (slot->nested.direct)
			n += (size_t)snprintf(text + n, size - n, "%s%s:%u (a direct call)", n ? " < " : "", slot->pool->name,
					      slot->index);
		if (slot->nested.direct || !batch)
			return;
		const struct call *call = batch->call;
		n += (size_t)snprintf(text + n, size - n, "%s%s:%u.%.*s", n ? " < " : "", slot->pool->name, slot->index,
				      SPAN_TEXT(call->name, 40));
		struct client *client = call->ticket.client;
		slot = client && nested_is(client) ? slot_of(client) : NULL;
	}
}

int nested_check(const struct call *call, struct client *client, struct error *error)
{
	char path[200];

	if (!nested_is(client))
		return 0;
	struct slot *caller = slot_of(client);
	const uint64_t walk = ++call->core->last_walk;
	caller->walk = walk;
	caller->walk_free = false;
	if (can_begin(call, walk))
		return 0;
	describe_path(caller, path, sizeof path);
	error_say(error, ERROR_UNAVAILABLE, RAN_NO,
		  "the call of pool %s would wait for itself: every instance that could do it waits for %s", call->pool->name,
		  path);
	error->pool = call->pool->name;
	return -EINVAL;
}

/* ---- circles that closed without a call ---- */

/* Does the slot's method wait for a call that, over other calls, waits for this method? */
static bool waits_for_itself(struct slot *slot)
{
	const struct call *awaited = awaited_by(slot);
	const uint64_t walk = ++slot->pool->core->last_walk;

	slot->walk = walk;
	slot->walk_free = false;
	return awaited && !can_go(awaited, walk);
}

static struct slot *find_circle(const struct core *core)
{
	const struct pool *pool;
	struct slot *slot;

	TAILQ_FOREACH(pool, &core->pools, link) {
		SLOT_FOREACH(slot, pool)
			if (waits_for_itself(slot))
				return slot;
	}
	return NULL;
}

void nested_on_circles(struct timer *timer)
{
	const struct core *core = container_of(timer, struct pool, circles)->core;
	struct slot *slot;
	struct error error;
	char path[200];

	while ((slot = find_circle(core))) {
		struct call *call = awaited_by(slot);
		describe_path(slot, path, sizeof path);
		error_say(&error, ERROR_UNAVAILABLE, RAN_MAYBE,
			  "the call of pool %s waits for itself, since no other instance of the pool is left to do it: %s",
			  call->pool->name, path);
		call_fail_withdrawn(call, &error);
	}
}

void nested_on_shrunk(struct pool *pool)
{
	timer_set(&pool->core->timers, &pool->circles, pool->core->now);
}
