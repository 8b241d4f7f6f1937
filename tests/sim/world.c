/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"

#include "daemon/core/handover.h"
#include "daemon/core/slot.h"
#include "proto/pack.h"
#include "proto/scan.h"
#include "tests/sim/player.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PUT_OFF = 6 };

/* A played worker: what a real one does, in steps. */
struct fake {
	struct fake *next;
	struct world *world;
	struct slot *slot;
	bool forked, dead, failing;  /* failing: its constructor will */
	bool stopped;                /* does nothing, until it goes on */
	uint8_t *in;                 /* bytes from the supervisor */
	size_t in_size;
	uint8_t *task;               /* the message that it works on; NULL: none */
	size_t task_size;
	uint32_t id, first, count, item; /* of that batch */
	bool items;                  /* ITEMS; else CALL */
	uint32_t *tokens;
	struct sendq out;            /* finished, not flushed */
	struct put_off { uint64_t tag; uint32_t token; } put_off[PUT_OFF]; /* deferred; tag 0: free */
	uint64_t last_tag;
	uint8_t *applied;            /* [WORLD_TOKENS]: how often it ran the sticky token; NULL: none yet */
};

uint32_t world_dice(struct world *world, uint32_t sides)
{
	world->state = world->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(world->state >> 33) % sides;
}

void world_fail(struct world *world, const char *what)
{
	printf("seed %llu: %s\n0 passed, 1 failed\n", (unsigned long long)world->seed, what);
	fflush(stdout);
	abort();
}

void world_say(const struct world *world, const char *format, ...)
{
	va_list list;
	if (!world->verbose)
		return;
	va_start(list, format);
	printf("%12.6f ", (double)world->core.now / (double)SECOND);
	vprintf(format, list);
	putchar('\n');
	va_end(list);
}

/* ---- the core's actions ---- */

static struct world *world_of(const struct core *core)
{
	return container_of(core, struct world, core);
}

static void on_client_wrote(struct client *client)
{
	(void)client; /* players read when they like */
}

static void on_slot_wrote(struct slot *slot)
{
	(void)slot;
}

static void on_slot_start(struct slot *slot)
{
	struct world *world = world_of(slot->pool->core);
	struct fake *fake = calloc(1, sizeof *fake);
	if (!slot->board)
		slot->board = calloc(1, sizeof *slot->board);
	slot->board->since = 0;
	*fake = (struct fake){.world = world, .slot = slot, .next = world->fakes, .failing = world_dice(world, 12) == 0};
	world->fakes = fake;
	slot->owner = fake;
	handover_start(slot, 1, (struct span){0}, (struct span){0}, (struct span){0});
	world_say(world, "slot %u: start, generation %llu", slot->index, (unsigned long long)slot->generation);
}

static void on_slot_kill(struct slot *slot)
{
	((struct fake *)slot->owner)->dead = true;
}

static void flush(struct fake *fake);
static void on_slot_nudge(struct slot *slot)
{
	/* Another thread of a real worker sends what is finished: here it goes when the worker is looked at next. */
	const struct fake *fake = slot->owner;
	slot->board->nudge++;
	if (!fake->stopped)
		slot->board->nudged = slot->board->nudge;
}

static void on_slot_changed(struct slot *slot)
{
	world_say(world_of(slot->pool->core), "slot %u: %s", slot->index, slot_state_name(slot->state));
}

static void on_slot_free(struct slot *slot)
{
	free(slot->board);
}

static void on_pool_free(struct pool *pool)
{
	world_say(world_of(pool->core), "pool freed");
}

static const struct core_ops ops = {
	.client_wrote = on_client_wrote, .slot_wrote = on_slot_wrote,	  .slot_start = on_slot_start,
	.slot_kill = on_slot_kill,	 .slot_nudge = on_slot_nudge,	  .slot_changed = on_slot_changed,
	.slot_free = on_slot_free,	 .pool_free = on_pool_free,
};

/* ---- workers ---- */

static void fake_free(struct fake *fake)
{
	for (struct fake **at = &fake->world->fakes; *at; at = &(*at)->next)
		if (*at == fake) {
			*at = fake->next;
			break;
		}
	sendq_clear(&fake->out);
	free(fake->in);
	free(fake->task);
	free(fake->tokens);
	free(fake->applied);
	free(fake);
}

/* Gives the core all that the worker has finished. */
static void flush(struct fake *fake)
{
	struct iovec iov[64];
	uint8_t *bytes = malloc(fake->out.bytes + 1);
	size_t size = 0, used = 0;

	for (int n; (n = sendq_iov(&fake->out, iov, 64)) > 0;) {
		size_t sent = 0;
		for (int i = 0; i < n; i++) {
			memcpy(bytes + size, iov[i].iov_base, iov[i].iov_len);
			size += iov[i].iov_len;
			sent += iov[i].iov_len;
		}
		sendq_sent(&fake->out, sent);
	}
	sendq_clear(&fake->out);
	while (used < size) {
		const int64_t n = scan_length(bytes + used, size - used);
		assert(n > 0);
		if (slot_on_message(fake->slot, (struct span){.bytes = bytes + used, .size = (size_t)n}, NULL) < 0)
			break;
		used += (size_t)n;
	}
	free(bytes);
}

static void gone(struct fake *fake, int status)
{
	struct slot *slot = fake->slot;
	world_say(fake->world, "slot %u: worker gone, status %d", slot->index, status);
	fake_free(fake);
	slot->owner = NULL;
	slot_on_gone(slot, status, NULL);
}

static void die(struct fake *fake, bool flushed)
{
	if (flushed)
		flush(fake);
	gone(fake, world_dice(fake->world, 2) ? SIGKILL : 7 << 8);
}

static void put(struct fake *fake, const uint8_t *bytes, const uint8_t *end)
{
	sendq_copy(&fake->out, bytes, (size_t)(end - bytes));
}

static uint8_t *pack_failure(uint8_t *p, const char *ran)
{
	p = pack_array(p, 6);
	p = pack_str(p, "FAILED", 6);
	p = pack_str(p, "bad", 3);
	p = pack_nil(pack_nil(pack_nil(p)));
	return pack_str(p, ran, strlen(ran));
}

static void receive(struct fake *fake);
static uint8_t *pack_failure(uint8_t *p, const char *ran);
static void put(struct fake *fake, const uint8_t *bytes, const uint8_t *end);

/* ---- sticky calls: what an instance has been told ---- */

static void apply(struct fake *fake, uint32_t token)
{
	if (!fake->applied)
		fake->applied = calloc(WORLD_TOKENS, 1);
	if (fake->applied[token]++)
		world_fail(fake->world, "an instance got the same sticky call twice");
	world_say(fake->world, "slot %u: has sticky %u", fake->slot->index, token);
}

static void replay(struct fake *fake, struct reader *reader)
{
	struct span skip;
	uint64_t token;
	uint32_t n, fields;

	(void)read_array(reader, &n);
	for (; n > 0; n--) { /* [method, [token], kwargs] */
		(void)read_array(reader, &fields);
		(void)read_value(reader, &skip);
		(void)read_array(reader, &fields);
		(void)read_uint(reader, &token);
		(void)read_value(reader, &skip);
		apply(fake, (uint32_t)token);
	}
}

/* Its state is which sticky calls it has had. Sometimes it can't tell. */
static void put_state(struct fake *fake)
{
	const bool fails = world_dice(fake->world, 4) == 0;
	uint8_t room[128], *p = pack_uint(pack_array(room, fails ? 3 : 2), FROM_STATE);
	uint32_t n = 0;

	if (fails)
		p = pack_failure(pack_nil(p), "no");
	for (uint32_t i = 0; fake->applied && i < fake->world->tokens; i++)
		n += fake->applied[i];
	if (!fails)
		p = pack_array(p, n);
	put(fake, room, p);
	for (uint32_t i = 0; !fails && fake->applied && i < fake->world->tokens; i++)
		if (fake->applied[i])
			put(fake, room, pack_uint(room, i));
}

static void restore(struct fake *fake, struct reader *reader)
{
	uint8_t room[128], *p = pack_uint(pack_array(room, 2), FROM_RESTORED);
	struct span state;
	uint64_t token;
	uint32_t n;

	(void)read_value(reader, &state);
	if (world_dice(fake->world, 4) == 0) {
		put(fake, room, pack_failure(p, "no"));
		replay(fake, reader);
		return;
	}
	struct reader tokens = reader_of(state);
	for ((void)read_array(&tokens, &n); n > 0; n--) {
		(void)read_uint(&tokens, &token);
		apply(fake, (uint32_t)token);
	}
}

/* Has START come? Then it is obeyed. */
static bool has_start(struct fake *fake)
{
	const int64_t n = fake->in_size ? scan_length(fake->in, fake->in_size) : 0;
	struct reader reader = {.p = fake->in, .end = fake->in + n};
	struct span skip;
	uint32_t fields;

	if (n <= 0)
		return false;
	(void)read_array(&reader, &fields);
	for (uint32_t i = 1; i < fields; i++)
		(void)read_value(&reader, &skip);
	replay(fake, &reader);
	memmove(fake->in, fake->in + n, fake->in_size - (size_t)n);
	fake->in_size -= (size_t)n;
	return true;
}

void world_check_sticky(struct world *world)
{
	const struct sticky *sticky;
	uint64_t token;
	uint32_t n;

	TAILQ_FOREACH(sticky, &world->pool->stickies.list, link) {
		struct reader reader = reader_of(sticky->args);
		(void)read_array(&reader, &n);
		(void)read_uint(&reader, &token);
		for (uint32_t i = 0; i < world->pool->size; i++) {
			const struct slot *slot = world->pool->slots[i];
			const struct fake *fake = slot->owner;
			const bool idle = slot->queue.count + slot->handed_count + slot->out.bytes == 0;
			if (slot->state == SLOT_READY && idle && !fake->dead && (!fake->applied || fake->applied[token] != 1)) {
				world_say(world, "slot %u, generation %llu, lacks %llu", slot->index,
					  (unsigned long long)slot->generation, (unsigned long long)token);
				world_fail(world, "an instance lacks a sticky call that its siblings have");
			}
		}
	}
}

static void say_ready(struct fake *fake)
{
	uint8_t room[128], *p = pack_array(room, fake->failing ? 2 : 1);
	p = pack_uint(p, FROM_READY);
	if (fake->failing)
		p = pack_failure(p, "no");
	put(fake, room, p);
	flush(fake);
	if (fake->failing)
		gone(fake, 1 << 8);
}

/* Takes some of the bytes that wait for the worker. */
static void receive(struct fake *fake)
{
	struct iovec iov;
	if (sendq_iov(&fake->slot->out, &iov, 1) < 1)
		return;
	size_t n = iov.iov_len;
	if (world_dice(fake->world, 3) == 0)
		n = 1 + world_dice(fake->world, (uint32_t)n);
	fake->in = realloc(fake->in, fake->in_size + n);
	memcpy(fake->in + fake->in_size, iov.iov_base, n);
	fake->in_size += n;
	sendq_sent(&fake->slot->out, n);
}

static void read_tokens(struct fake *fake, struct reader *reader)
{
	uint64_t skip, first, count, token;
	struct span span;
	uint32_t n;

	fake->first = 0;
	fake->count = 1;
	if (fake->items) { /* deadline, binding, shape, first, count, columns */
		for (int i = 0; i < 3; i++)
			(void)read_uint(reader, &skip);
		(void)read_uint(reader, &first);
		(void)read_uint(reader, &count);
		fake->first = (uint32_t)first;
		fake->count = (uint32_t)count;
		(void)read_array(reader, &n);
		assert(n == 1);
	}
	const int r = read_array(reader, &n);
	assert(r == 0 && n == fake->count);
	fake->tokens = malloc(fake->count * sizeof *fake->tokens);
	for (uint32_t i = 0; i < fake->count; i++) {
		const int got = read_uint(reader, &token);
		assert(got == 0);
		fake->tokens[i] = (uint32_t)token;
	}
	(void)span;
}

static void forget_put_off(struct fake *fake, uint64_t tag)
{
	for (int i = 0; i < PUT_OFF; i++)
		if (fake->put_off[i].tag == tag) {
			fake->put_off[i].tag = 0;
			return;
		}
	world_fail(fake->world, "told to forget what was not deferred");
}

static void put_passed(struct fake *fake)
{
	uint8_t room[8];
	put(fake, room, pack_uint(pack_array(room, 1), FROM_PASSED));
}

/* Begins the next task, if its message is whole and it hasn't been taken back. */
static void begin(struct fake *fake)
{
	const int64_t n = fake->in_size ? scan_length(fake->in, fake->in_size) : 0;
	struct reader reader = {.p = fake->in, .end = fake->in + n};
	struct span name;
	uint64_t type, id, session, tag = 0, want_state = 0;
	uint32_t fields;

	if (n <= 0)
		return;
	(void)read_array(&reader, &fields);
	(void)read_uint(&reader, &type);
	fake->item = 0;
	if (type == TO_CALL || type == TO_ITEMS) {
		fake->items = type == TO_ITEMS;
		(void)read_uint(&reader, &id);
		(void)read_uint(&reader, &session);
		(void)read_text(&reader, &name);
		fake->id = (uint32_t)id;
		if (board_move(fake->slot->board, fake->id, BOARD_HANDED, BOARD_STARTED)) {
			read_tokens(fake, &reader);
			fake->task = malloc(1);
			fake->slot->board->since = fake->world->core.now;
		} else {
			put_passed(fake);
		}
	}
	if (type == TO_GONE)
		(void)read_uint(&reader, &tag);
	if (type == TO_STOP)
		(void)read_uint(&reader, &want_state);
	if (type == TO_REPLAY)
		replay(fake, &reader);
	if (type == TO_RESTORE)
		restore(fake, &reader);
	memmove(fake->in, fake->in + n, fake->in_size - (size_t)n);
	fake->in_size -= (size_t)n;
	if (type == TO_GONE)
		forget_put_off(fake, tag);
	if (type == TO_STOP) {
		if (want_state)
			put_state(fake);
		flush(fake);
		gone(fake, 0);
	}
}

/* ---- deferring ---- */

static bool defer(struct fake *fake, uint32_t token)
{
	uint8_t room[64], *p = pack_uint(pack_array(room, 4), FROM_DEFERRED);
	struct put_off *at = &fake->put_off[world_dice(fake->world, PUT_OFF)];

	if (at->tag || world_dice(fake->world, 6))
		return false;
	*at = (struct put_off){.tag = ++fake->last_tag, .token = token};
	ledger_open(fake->slot->board, at->tag);
	world_say(fake->world, "slot %u: defers %u as %llu", fake->slot->index, token, (unsigned long long)at->tag);
	p = pack_uint(p, fake->id);
	p = pack_uint(p, fake->items ? fake->first + fake->item : 0);
	put(fake, room, pack_uint(p, at->tag));
	return true;
}

/* Some deferred one is answered, unless its caller was quicker to give up. */
static void answer(struct fake *fake)
{
	struct put_off *at = &fake->put_off[world_dice(fake->world, PUT_OFF)];
	uint8_t room[64], *p = pack_uint(pack_array(room, 4), FROM_ANSWER);

	if (!at->tag || !ledger_move(fake->slot->board, at->tag, LEDGER_DEFERRED, LEDGER_ANSWERED))
		return;
	p = pack_uint(p, at->tag);
	if (world_is_bad(at->token))
		p = pack_nil(pack_failure(p, "yes"));
	else
		p = pack_uint(pack_nil(p), at->token);
	put(fake, room, p);
	at->tag = 0;
}

static void end_item(struct fake *fake);
static void end_task(struct fake *fake);

static void finish_item(struct fake *fake)
{
	const uint32_t token = fake->tokens[fake->item];
	const bool bad = world_is_bad(token);
	uint8_t room[160], *p = pack_array(room, 4);

	if (defer(fake, token)) {
		end_item(fake);
		return;
	}
	p = pack_uint(p, !fake->items ? FROM_REPLY : bad ? FROM_ITEM_ERROR : FROM_RESULTS);
	p = pack_uint(p, fake->id);
	if (fake->items)
		p = pack_uint(p, fake->first + fake->item);
	if (bad) {
		p = pack_failure(p, "yes");
		if (!fake->items)
			p = pack_nil(p);
	} else {
		p = fake->items ? pack_array(p, 1) : pack_nil(p);
		p = pack_uint(p, token);
	}
	put(fake, room, p);
	end_item(fake);
}

static void end_item(struct fake *fake)
{
	struct board_entry *entry = board_entry(fake->slot->board, fake->id);

	fake->item++;
	entry->spent = world_dice(fake->world, 2) ? 300 : 3000000;
	if (fake->item == fake->count)
		end_task(fake);
}

static void end_task(struct fake *fake)
{
	fake->slot->board->since = 0;
	free(fake->task);
	free(fake->tokens);
	fake->task = NULL;
	fake->tokens = NULL;
}

/* Runs one item. False: the worker has died of it. */
static bool run_item(struct fake *fake)
{
	struct world *world = fake->world;
	const uint32_t token = fake->tokens[fake->item];

	if (!board_begin_item(fake->slot->board, fake->id)) { /* the rest was taken back */
		end_task(fake);
		return true;
	}
	world->ran[token]++;
	if (world->sticky[token])
		apply(fake, token);
	world_say(world, "slot %u: runs %u (batch %u, item %u of %u)", fake->slot->index, token, fake->id, fake->item, fake->count);
	if (world_dice(world, 400) == 0) {
		die(fake, world_dice(world, 2));
		return false;
	}
	finish_item(fake);
	return true;
}

static void run_some(struct fake *fake)
{
	struct world *world = fake->world;

	for (uint32_t n = 1 + world_dice(world, 8); n > 0 && fake->task; n--)
		if (!run_item(fake))
			return;
	if (world_dice(world, 3) == 0)
		flush(fake);
}

static void work(struct fake *fake)
{
	struct world *world = fake->world;

	if (fake->stopped && !fake->dead && world_dice(world, 60) == 0) {
		fake->stopped = false;
		fake->slot->board->nudged = fake->slot->board->nudge;
	}
	if (fake->dead) {
		die(fake, !fake->stopped && world_dice(world, 2));
	} else if (fake->stopped) {
		return;
	} else if (fake->slot->state != SLOT_STARTING && world_dice(world, 200) == 0) {
		fake->stopped = true;
	} else if (fake->slot->state == SLOT_STARTING) {
		receive(fake);
		if (has_start(fake))
			say_ready(fake);
	} else if (fake->task) {
		run_some(fake);
	} else {
		answer(fake);
		if (world_dice(world, 2))
			flush(fake);
		receive(fake);
		begin(fake);
	}
}

void world_work(struct world *world)
{
	uint32_t n = 0;
	for (const struct fake *f = world->fakes; f; f = f->next)
		n++;
	if (n == 0)
		return;
	struct fake *fake = world->fakes;
	for (uint32_t i = world_dice(world, n); i > 0; i--)
		fake = fake->next;
	work(fake);
	core_end_event(&world->core);
}

void world_kill_one(struct world *world)
{
	if (world->fakes && world_dice(world, 2))
		world->fakes->dead = true;
}

/* ---- time and pools ---- */

void world_pass_time(struct world *world)
{
	const uint64_t next = timers_next(&world->core.timers);
	const uint64_t step = (uint64_t)1 << world_dice(world, 31);

	if (world_dice(world, 2) && next != UINT64_MAX && next > world->core.now)
		world->core.now = next;
	else
		world->core.now += step;
	timers_run(&world->core.timers, world->core.now);
	core_end_event(&world->core);
}

static void new_pool(struct world *world)
{
	const struct pool_settings settings = {.max_queue = 40 + world_dice(world, 200),
					       .max_sticky = 1 << 20,
					       .start_timeout = NEVER,
					       .stop_timeout = 5 * SECOND,
					       .max_calls = world_dice(world, 2) ? 0 : 1 + world_dice(world, 30),
					       .max_age = world_dice(world, 2) ? NEVER : SECOND,
					       .workers_min = 1,
					       .workers_max = world_dice(world, 2) ? 1 : 4,
					       .idle_timeout = world_dice(world, 2) ? NEVER : 10 * MILLISECOND,
					       .cancel_grace = world_dice(world, 2) ? NEVER : 100 * MILLISECOND};
	world->pool = pool_new(&world->core, "p", 1 + world_dice(world, 4), &settings, world);
	assert(world->pool);
	world->pool->has_snapshot = world_dice(world, 2);
}

void world_resize(struct world *world)
{
	struct pool *pool = world->pool;
	if (world_dice(world, 3))
		(void)slot_restart(pool->slots[world_dice(world, pool->size)]);
	else if (pool_resize(pool, 1 + world_dice(world, 5)) < 0)
		world_fail(world, "out of memory");
}

void world_replace_pool(struct world *world)
{
	if (world_dice(world, 4))
		return;
	world_say(world, "the pool is replaced");
	pool_leave(world->pool);
	new_pool(world);
}

struct world *world_new(uint64_t seed, bool verbose)
{
	const struct core_limits limits = {.max_message = 1 << 20, .max_inflight = 200, .max_pending = 1 << 20, .max_unsent = 4096,
					   .max_memory = seed % 3 == 0 ? 40 << 10 : 0}; /* in a third of the worlds it is short */
	struct world *world = calloc(1, sizeof *world);

	world->seed = seed;
	world->state = seed * UINT64_C(0x9e3779b97f4a7c15);
	world->verbose = verbose;
	core_init(&world->core, &ops, &limits);
	world->core.now = SECOND;
	new_pool(world);
	return world;
}

static void check_counts(struct world *world)
{
	const struct pool *pool;
	TAILQ_FOREACH(pool, &world->core.pools, link)
		if (!pool->leaving && (pool->waiting > 0 || pool->queue.count > 0))
			world_fail(world, "an empty world has something waiting");
}

void world_end(struct world *world)
{
	for (int i = 0; i < 200000 && world->pool->calls_count > 0; i++) { /* sticky calls go on without their callers */
		world_work(world);
		if (i % 50 == 0)
			world_pass_time(world);
	}
	check_counts(world);
	pool_leave(world->pool);
	core_end_event(&world->core);
	for (int i = 0; i < 200000 && !TAILQ_EMPTY(&world->core.pools); i++) {
		world_work(world);
		if (i % 50 == 0)
			world_pass_time(world);
	}
	if (!TAILQ_EMPTY(&world->core.pools) || world->fakes)
		world_fail(world, "a pool that leaves does not end");
	if (world->core.memory.used > 0)
		world_fail(world, "memory is counted that nobody holds");
	core_free(&world->core);
	free(world);
}
