/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/sticky.h"

#include "daemon/core/pool.h"
#include "daemon/core/scheduler.h"
#include "proto/pack.h"

#include <errno.h>
#include <stdlib.h>

enum { STICKY_OVERHEAD = 128 }; /* bytes that one takes beside its own */

void sticky_init(struct stickies *stickies)
{
	*stickies = (struct stickies){0};
	TAILQ_INIT(&stickies->list);
}

static void sticky_free(struct pool *pool, struct sticky *sticky)
{
	struct stickies *stickies = &pool->stickies;

	TAILQ_REMOVE(&stickies->list, sticky, link);
	stickies->count--;
	stickies->bytes -= sticky->bytes->capacity + STICKY_OVERHEAD;
	if (sticky->call)
		sticky->call->remembered = NULL;
	block_unref(sticky->bytes);
	free(sticky);
}

static bool same_method(const struct sticky *sticky, struct span method)
{
	return sticky->name.size == method.size && memcmp(sticky->name.bytes, method.bytes, method.size) == 0;
}

uint32_t sticky_forget(struct pool *pool, struct span method)
{
	struct sticky *sticky, *next;
	uint32_t n = 0;

	for (sticky = TAILQ_FIRST(&pool->stickies.list); sticky; sticky = next) {
		next = TAILQ_NEXT(sticky, link);
		if (method.size > 0 && !same_method(sticky, method))
			continue;
		sticky_free(pool, sticky);
		n++;
	}
	return n;
}

/* ---- replacing ---- */

/* Does `late` make `early` count no more? Once it has run: until then, it may still be refused. */
static bool replaces(const struct sticky *late, const struct sticky *early)
{
	return late->mode == STICKY_REPLACE && late->number > early->number && same_method(early, late->name);
}

static void forget_replaced(struct pool *pool, const struct sticky *by)
{
	struct sticky *sticky, *next;

	for (sticky = TAILQ_FIRST(&pool->stickies.list); sticky != by; sticky = next) {
		next = TAILQ_NEXT(sticky, link);
		if (replaces(by, sticky))
			sticky_free(pool, sticky);
	}
}

/* Bytes that will be free once a call of that method has replaced what there is. */
static uint64_t replaceable(const struct pool *pool, struct span method)
{
	const struct sticky *sticky;
	uint64_t bytes = 0;

	TAILQ_FOREACH(sticky, &pool->stickies.list, link)
		if (same_method(sticky, method))
			bytes += sticky->bytes->capacity + STICKY_OVERHEAD;
	return bytes;
}

/* ---- remembering ---- */

static struct span copy(uint8_t **to, struct span span)
{
	const uint8_t *at = *to;
	if (span.size > 0)
		*to = mempcpy(*to, span.bytes, span.size);
	return (struct span){.bytes = at, .size = span.size};
}

static struct sticky *sticky_new(struct call *call)
{
	struct sticky *sticky = calloc(1, sizeof *sticky);
	uint8_t *p;

	if (sticky)
		sticky->bytes = block_new(call->pool->core->lasting, call->name.size + call->args.size + call->kwargs.size);
	if (!sticky || !sticky->bytes) {
		free(sticky);
		return NULL;
	}
	p = sticky->bytes->bytes;
	sticky->name = copy(&p, call->name);
	sticky->args = copy(&p, call->args);
	sticky->kwargs = copy(&p, call->kwargs);
	return sticky;
}

int sticky_remember(struct pool *pool, struct call *call, enum sticky_mode mode, struct error *error)
{
	struct stickies *stickies = &pool->stickies;
	const uint64_t size = call->name.size + call->args.size + call->kwargs.size + STICKY_OVERHEAD;
	const uint64_t others = stickies->bytes - (mode == STICKY_REPLACE ? replaceable(pool, call->name) : 0);

	/* What is about to be replaced doesn't count, but has its bound too. */
	if (others + size > pool->settings.max_sticky || stickies->bytes + size > 2 * pool->settings.max_sticky) {
		error_say(error, ERROR_OVERLOADED, RAN_NO,
			  "pool %s remembers %u sticky calls of %llu bytes, and no more than max_sticky = %llu: see objpool.forget",
			  pool->name, stickies->count, (unsigned long long)stickies->bytes,
			  (unsigned long long)pool->settings.max_sticky);
		return -ENOSPC;
	}
	struct sticky *sticky = sticky_new(call);
	if (!sticky) {
		error_say(error, ERROR_OVERLOADED, RAN_NO, "the daemon is out of memory");
		return -ENOMEM;
	}
	if (core_may_last(pool->core, error) < 0) {
		block_unref(sticky->bytes);
		free(sticky);
		return -ENOSPC;
	}
	sticky->mode = mode;
	sticky->number = ++stickies->last;
	sticky->call = call;
	call->remembered = sticky;
	stickies->bytes += sticky->bytes->capacity + STICKY_OVERHEAD;
	stickies->count++;
	TAILQ_INSERT_TAIL(&stickies->list, sticky, link);
	return 0;
}

void sticky_on_run(struct sticky *sticky, uint64_t nanoseconds)
{
	if (nanoseconds > sticky->longest)
		sticky->longest = nanoseconds;
}

uint64_t sticky_longest(const struct pool *pool, struct span method)
{
	const struct sticky *sticky;
	uint64_t longest = 0;

	TAILQ_FOREACH(sticky, &pool->stickies.list, link)
		if (same_method(sticky, method) && sticky->longest > longest)
			longest = sticky->longest;
	return longest;
}

void sticky_on_call_end(struct pool *pool, struct call *call, bool refused)
{
	if (!call->remembered)
		return;
	if (refused) {
		sticky_free(pool, call->remembered);
		return;
	}
	call->remembered->call = NULL;
	forget_replaced(pool, call->remembered);
}

/* ---- replaying ---- */

/* Does the slot have it before it as a task? */
static bool waits_as_task(const struct slot *slot, const struct call *call)
{
	const struct flow *flow = idmap_get(&slot->queue.by_client, slot->pool->self.id);
	const struct batch *batch;

	if (!flow)
		return false;
	TAILQ_FOREACH(batch, &flow->batches, link)
		if (batch->call == call)
			return true;
	return false;
}

/* Takes the tasks that the slot has not begun out of its hands and its queue, in their order. */
static void take_tasks(struct slot *slot, struct batch_list *taken)
{
	struct flow *flow;
	struct batch *batch, *next;

	TAILQ_INIT(taken);
	for (batch = TAILQ_FIRST(&slot->handed); batch; batch = next) {
		next = TAILQ_NEXT(batch, link);
		if (batch->call->sticky && board_move(slot->board, batch->id, BOARD_HANDED, BOARD_REVOKED)) {
			scheduler_release(batch);
			TAILQ_INSERT_TAIL(taken, batch, link);
		}
	}
	while ((flow = idmap_get(&slot->queue.by_client, slot->pool->self.id))) {
		batch = TAILQ_FIRST(&flow->batches);
		queue_remove(batch);
		TAILQ_INSERT_TAIL(taken, batch, link);
	}
}

void sticky_hand_on(struct slot *slot, struct slot *successor)
{
	struct batch_list taken;
	struct batch *batch;

	take_tasks(slot, &taken);
	while ((batch = TAILQ_FIRST(&taken))) {
		TAILQ_REMOVE(&taken, batch, link);
		scheduler_move_to(batch, successor);
	}
}

static bool is_due(const struct slot *slot, const struct sticky *sticky, uint64_t since)
{
	return sticky->number > since && !(sticky->call && waits_as_task(slot, sticky->call));
}

static void put_head(struct sendq *out, uint8_t *(*pack)(uint8_t *, uint32_t), uint32_t n)
{
	uint8_t *p = sendq_reserve(out, PACK_HEAD);
	if (p)
		sendq_commit(out, (size_t)(pack(p, n) - p));
}

static void put_one(const struct sticky *sticky, struct sendq *out)
{
	put_head(out, pack_array, 3);
	put_head(out, pack_str_head, (uint32_t)sticky->name.size);
	sendq_copy(out, sticky->name.bytes, sticky->name.size);
	sendq_span(out, sticky->bytes, sticky->args.bytes, sticky->args.size);
	if (sticky->kwargs.size > 0)
		sendq_span(out, sticky->bytes, sticky->kwargs.bytes, sticky->kwargs.size);
	else
		sendq_copy(out, "\xc0", 1);
}

void sticky_put(const struct slot *slot, uint64_t since, struct sendq *out)
{
	const struct sticky *sticky;
	uint32_t n = 0;

	TAILQ_FOREACH(sticky, &slot->pool->stickies.list, link)
		n += is_due(slot, sticky, since);
	put_head(out, pack_array, n);
	TAILQ_FOREACH(sticky, &slot->pool->stickies.list, link)
		if (is_due(slot, sticky, since))
			put_one(sticky, out);
}
