/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/dispatch/sticky.h"

#include "daemon/core/dispatch/put.h"
#include "proto/plural.h"

#include <errno.h>
#include <stdlib.h>

enum { STICKY_OVERHEAD = 128 }; /* bytes of memory that a sticky call takes beside its arguments */

void sticky_init(struct stickies *stickies)
{
	*stickies = (struct stickies){0};
	TAILQ_INIT(&stickies->list);
	TAILQ_INIT(&stickies->replays);
}

/* ---- those of one method ---- */

/* NULL: there are none. */
static struct sticky_kind *find_kind(const struct stickies *stickies, struct span method)
{
	struct sticky_kind *kind = idmap_get(&stickies->kinds, name_hash(method.bytes, method.size));
	if (!kind)
		return NULL;
	const struct span name = TAILQ_FIRST(&kind->list)->name;
	return name.size == method.size && memcmp(name.bytes, method.bytes, method.size) == 0 ? kind : NULL;
}

/* The kind of that method, which is made if there is none. NULL: out of memory; or the name of another method has the same
 * hash. */
static struct sticky_kind *add_kind(struct stickies *stickies, struct span method)
{
	struct sticky_kind *kind = calloc(1, sizeof *kind);

	if (!kind || idmap_add(&stickies->kinds, name_hash(method.bytes, method.size), kind) < 0) {
		free(kind);
		return NULL;
	}
	TAILQ_INIT(&kind->list);
	return kind;
}

static void leave_kind(struct stickies *stickies, const struct sticky *sticky)
{
	struct sticky_kind *kind = sticky->kind;

	if (!TAILQ_EMPTY(&kind->list))
		return;
	(void)idmap_remove(&stickies->kinds, name_hash(sticky->name.bytes, sticky->name.size));
	free(kind);
}

static void count(struct stickies *stickies, const struct sticky *sticky, int n)
{
	const uint64_t bytes = (sticky->bytes->capacity + STICKY_OVERHEAD) * (uint64_t)n;

	stickies->bytes += bytes;
	stickies->count += (uint32_t)n;
	sticky->kind->bytes += bytes;
	sticky->kind->count += (uint32_t)n;
}

/* ---- forgetting ---- */

static void set_next(struct replay *replay, struct sticky *next)
{
	if (replay->next)
		replay->next->awaited--;
	replay->next = next;
	if (next)
		next->awaited++;
}

static void pass_over(struct stickies *stickies, const struct sticky *sticky)
{
	struct replay *replay;

	TAILQ_FOREACH(replay, &stickies->replays, link)
		if (replay->next == sticky)
			set_next(replay, TAILQ_NEXT(sticky, link));
}

static void sticky_free(struct pool *pool, struct sticky *sticky)
{
	struct stickies *stickies = &pool->stickies;

	if (sticky->awaited > 0)
		pass_over(stickies, sticky);
	count(stickies, sticky, -1);
	TAILQ_REMOVE(&stickies->list, sticky, link);
	TAILQ_REMOVE(&sticky->kind->list, sticky, of_kind);
	leave_kind(stickies, sticky);
	if (sticky->call)
		sticky->call->remembered = NULL;
	block_unref(sticky->bytes);
	free(sticky);
}

/* Forgets calls from the last to the first: so a replay whose next call is forgotten skips all of them at once. */
static void forget_kind(struct pool *pool, const struct sticky_kind *kind)
{
	for (uint32_t left = kind->count; left > 0; left--)
		sticky_free(pool, TAILQ_LAST(&kind->list, sticky_list));
}

uint32_t sticky_forget(struct pool *pool, struct span method)
{
	struct stickies *stickies = &pool->stickies;
	const struct sticky_kind *kind = method.size > 0 ? find_kind(stickies, method) : NULL;
	const uint32_t before = stickies->count;

	if (kind)
		forget_kind(pool, kind);
	while (method.size == 0 && stickies->count > 0)
		sticky_free(pool, TAILQ_LAST(&stickies->list, sticky_list));
	if (stickies->count == 0)
		idmap_free(&stickies->kinds);
	return before - stickies->count;
}

/* The call has run: forgets the earlier calls of its method that it replaces. Until now it could have been refused. */
static void forget_replaced(struct pool *pool, const struct sticky *by)
{
	struct sticky *early;

	while (by->mode == STICKY_REPLACE && (early = TAILQ_PREV(by, sticky_list, of_kind)))
		sticky_free(pool, early);
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
	struct stickies *stickies = &call->pool->stickies;
	struct sticky_kind *kind = find_kind(stickies, call->name);
	struct block *bytes = block_new(call->core->lasting, call->name.size + call->args.size + call->kwargs.size);
	struct sticky *sticky = calloc(1, sizeof *sticky);

	if (!bytes || !sticky || (!kind && !(kind = add_kind(stickies, call->name)))) {
		block_unref(bytes);
		free(sticky);
		return NULL;
	}
	uint8_t *p = bytes->bytes;
	sticky->bytes = bytes;
	sticky->name = copy(&p, call->name);
	sticky->args = copy(&p, call->args);
	sticky->kwargs = copy(&p, call->kwargs);
	sticky->kind = kind;
	sticky->number = ++stickies->last;
	TAILQ_INSERT_TAIL(&stickies->list, sticky, link);
	TAILQ_INSERT_TAIL(&kind->list, sticky, of_kind);
	count(stickies, sticky, 1);
	return sticky;
}

/* Is there room for the call? The calls that it is about to replace are forgotten only when it has ended. Without them the limits
 * hold; with them, twice the limits. */
static bool has_room(const struct pool *pool, const struct call *call, enum sticky_mode mode)
{
	const struct stickies *stickies = &pool->stickies;
	const struct sticky_kind *kind = mode == STICKY_REPLACE ? find_kind(stickies, call->name) : NULL;
	const uint64_t most = pool->settings.max_sticky;
	const uint64_t size = call->name.size + call->args.size + call->kwargs.size + STICKY_OVERHEAD;
	const uint64_t replaced = kind ? kind->bytes : 0;
	const uint32_t replaced_count = kind ? kind->count : 0;

	return stickies->bytes - replaced + size <= most && stickies->bytes + size <= 2 * most &&
	       stickies->count - replaced_count < STICKY_MAX && stickies->count < 2 * STICKY_MAX;
}

int sticky_remember(struct pool *pool, struct call *call, enum sticky_mode mode, struct error *error)
{
	const struct stickies *stickies = &pool->stickies;

	if (!has_room(pool, call, mode)) {
		error_say(error, ERROR_OVERLOADED, RAN_NO,
			  "pool %s remembers %u sticky call%s of %llu bytes: the limits are %d calls, and "
			  "max_sticky = %llu bytes (objpool.forget makes room)",
			  pool->name, stickies->count, plural(stickies->count), (unsigned long long)stickies->bytes, STICKY_MAX,
			  (unsigned long long)pool->settings.max_sticky);
		return -ENOSPC;
	}
	struct sticky *sticky = sticky_new(call);
	if (!sticky) {
		error_no_memory(error, RAN_NO);
		return -ENOMEM;
	}
	if (core_check_lasting(pool->core, error) < 0) {
		sticky_free(pool, sticky);
		return -ENOSPC;
	}
	sticky->mode = mode;
	sticky->call = call;
	call->remembered = sticky;
	return 0;
}

void sticky_on_run(const struct sticky *sticky, uint64_t nanoseconds)
{
	if (nanoseconds > sticky->kind->longest)
		sticky->kind->longest = nanoseconds;
}

uint64_t sticky_longest(const struct pool *pool, struct span method)
{
	const struct sticky_kind *kind = find_kind(&pool->stickies, method);
	return kind ? kind->longest : 0;
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

enum {
	PORTION = 8,            /* calls in a portion, at most */
	REFILL = PORTION / 2,   /* a worker that has not begun so many calls gets the next portion */
	PORTION_BYTES = 64 << 10 /* a portion ends when it has so many bytes */
};

/* Will the slot's worker get the sticky call as a task? */
static bool waits_as_task(const struct slot *slot, const struct call *call)
{
	const struct batch *batch;

	TAILQ_FOREACH(batch, &call->parts, of_call)
		if (batch->slot == slot && batch->flow)
			return true;
	return false;
}

static bool is_due(const struct slot *slot, const struct sticky *sticky)
{
	return !sticky->call || !waits_as_task(slot, sticky->call);
}

static struct sticky *first_after(const struct stickies *stickies, uint64_t number)
{
	struct sticky *sticky, *first = NULL;

	TAILQ_FOREACH_REVERSE(sticky, &stickies->list, sticky_list, link) {
		if (sticky->number <= number)
			break;
		first = sticky;
	}
	return first;
}

void replay_begin(struct slot *slot, uint64_t since)
{
	struct stickies *stickies = &slot->pool->stickies;
	struct replay *replay = &slot->replay;

	if (!replay->on) {
		replay->on = true;
		TAILQ_INSERT_TAIL(&stickies->replays, replay, link);
		set_next(replay, first_after(stickies, since));
	} else if (!replay->next) {
		set_next(replay, first_after(stickies, replay->until));
	}
	replay->until = stickies->last;
}

void replay_end(struct slot *slot)
{
	struct replay *replay = &slot->replay;

	set_next(replay, NULL);
	if (replay->on)
		TAILQ_REMOVE(&slot->pool->stickies.replays, replay, link);
	replay->on = replay->restoring = false;
	replay->ahead = 0;
}

bool replay_on_begun(struct replay *replay)
{
	replay->ahead -= replay->ahead > 0;
	return replay->on && replay->ahead <= REFILL;
}

/* Gathers the next portion. Returns how many calls it has. */
static uint32_t cut_portion(struct slot *slot, const struct sticky **portion)
{
	struct replay *replay = &slot->replay;
	struct sticky *sticky;
	size_t bytes = 0;
	uint32_t n = 0;

	for (sticky = replay->next; sticky && sticky->number <= replay->until; sticky = TAILQ_NEXT(sticky, link)) {
		if (!is_due(slot, sticky))
			continue;
		if (n == PORTION || bytes > PORTION_BYTES)
			break;
		portion[n++] = sticky;
		bytes += sticky->bytes->capacity;
	}
	set_next(replay, sticky && sticky->number <= replay->until ? sticky : NULL);
	return n;
}

static void put_one(const struct sticky *sticky, struct sendq *out)
{
	put_array(out, 3);
	put_text(out, sticky->name.bytes, sticky->name.size);
	put_value(out, sticky->bytes, sticky->args);
	put_value(out, sticky->bytes, sticky->kwargs);
}

void replay_put(struct slot *slot, struct sendq *out)
{
	struct replay *replay = &slot->replay;
	const struct sticky *portion[PORTION];
	const uint32_t n = cut_portion(slot, portion);

	put_array(out, n);
	for (uint32_t i = 0; i < n; i++)
		put_one(portion[i], out);
	replay->ahead += n;
	sendq_copy(out, replay->next ? "\xc3" : "\xc2", 1);
	if (!replay->next) {
		TAILQ_REMOVE(&slot->pool->stickies.replays, replay, link);
		replay->on = false;
	}
}
