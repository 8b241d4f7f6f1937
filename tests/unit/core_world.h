/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What unit tests of the core need around it: a clock that they move, clients whose answers they read, and workers that do what
 * they are told, message by message. Nothing happens by itself.
 */
#ifndef TESTS_CORE_WORLD_H
#define TESTS_CORE_WORLD_H

#include "daemon/core/calls/client_end.h"
#include "daemon/core/entry/from_worker.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/life/pool_life.h"
#include "daemon/core/entry/request.h"
#include "daemon/core/life/sizing.h"
#include "daemon/core/life/slot_life.h"
#include "proto/pack.h"
#include "proto/scan.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct core_world {
	struct core core; /* first */
	unsigned starts, kills; /* that the core has asked for */
};

static inline void world_wrote_client(struct client *client)
{
	(void)client;
}

static inline void world_wrote_slot(struct slot *slot)
{
	(void)slot;
}

static inline int world_make_slot(struct slot *slot)
{
	slot->board = calloc(1, sizeof *slot->board);
	return slot->board ? 0 : -ENOMEM;
}

static inline void world_start_slot(struct slot *slot)
{
	((struct core_world *)slot->pool->core)->starts++;
}

static inline void world_kill_slot(struct slot *slot)
{
	((struct core_world *)slot->pool->core)->kills++;
}

static inline void world_free_slot(struct slot *slot)
{
	free(slot->board);
}

static inline void world_free_pool(struct pool *pool)
{
	(void)pool;
}

static const struct core_ops world_ops = {.client_wrote = world_wrote_client,
					  .slot_wrote = world_wrote_slot,
					  .slot_made = world_make_slot,
					  .slot_start = world_start_slot,
					  .slot_kill = world_kill_slot,
					  .slot_nudge = world_wrote_slot,
					  .slot_changed = world_wrote_slot,
					  .slot_free = world_free_slot,
					  .pool_free = world_free_pool};

static const struct pool_settings world_settings = {.max_queue = 1000,
						    .max_sticky = 1 << 20,
						    .start_timeout = 30 * SECOND,
						    .stop_timeout = 5 * SECOND,
						    .max_age = NEVER,
						    .idle_timeout = NEVER,
						    .cancel_grace = NEVER};

static inline void world_open(struct core_world *world)
{
	const struct core_limits limits = {
		.max_message = 1 << 20, .max_inflight = 1000, .max_pending = 1 << 20, .max_unsent = 1 << 20};

	*world = (struct core_world){0};
	core_init(&world->core, &world_ops, &limits);
	world->core.now = 1000 * SECOND;
}

/* ---- messages ---- */

/* msgpack as hexadecimal digits would be unreadable: a letter per value. i: int, -: int, which may be negative, u: uint64_t,
 * s: const char *, n: nil, t: true, [: array of so many, {: map. */
static inline struct span world_pack(uint8_t *room, const char *format, va_list values)
{
	uint8_t *p = room;

	for (; *format; format++) {
		const char *text = *format == 's' ? va_arg(values, const char *) : NULL;
		if (*format == 's')
			p = pack_str(p, text, strlen(text));
		else if (*format == 'i')
			p = pack_uint(p, va_arg(values, unsigned));
		else if (*format == '-')
			p = pack_int(p, va_arg(values, int));
		else if (*format == 'u')
			p = pack_uint(p, va_arg(values, uint64_t));
		else if (*format == '[')
			p = pack_array(p, va_arg(values, unsigned));
		else if (*format == '{')
			p = pack_map(p, va_arg(values, unsigned));
		else if (*format == 't')
			*p++ = 0xc3;
		else
			p = pack_nil(p);
	}
	return (struct span){.bytes = room, .size = (size_t)(p - room)};
}

/* The slot's worker sends the message [...]; see world_pack. */
static inline int world_say(struct slot *slot, const char *format, ...)
{
	uint8_t room[2048];
	va_list values;

	va_start(values, format);
	const struct span message = world_pack(room, format, values);
	va_end(values);
	const int r = slot_on_message(slot, message, NULL);
	core_end_event(slot->pool->core);
	return r;
}

/* The client asks for a method string with the arguments [...]; see world_pack. What request_call, or request_full_call,
 * returns. */
static inline int world_try(struct client *client, unsigned msgid, const char *method, const char *format, va_list values)
{
	uint8_t message[4096], *p = mempcpy(message, method, strlen(method)); /* params lie behind the method */
	struct rpc rpc = {.type = RPC_REQUEST,
			  .msgid = msgid,
			  .method = {.bytes = message, .size = strlen(method)},
			  .params = world_pack(p, format, values)};
	const int r = strcmp(method, "objpool.call") ? request_call(client, &rpc, NULL) : request_full_call(client, &rpc, NULL);

	core_end_event(client->core);
	return r;
}

static inline void world_ask(struct client *client, unsigned msgid, const char *method, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	assert_int_equal(world_try(client, msgid, method, format, values), 0);
	va_end(values);
}

/* objpool.call [target, method, args, options]: `format` is of the last two. */
static inline void world_ask_in_full(struct client *client, unsigned msgid, const char *target, const char *method,
				     const char *format, ...)
{
	uint8_t message[4096] = "objpool.call", *p = message + 12, *params = p;
	va_list values;

	p = pack_array(p, 4);
	p = pack_str(p, target, strlen(target));
	p = pack_str(p, method, strlen(method));
	va_start(values, format);
	p += world_pack(p, format, values).size;
	va_end(values);
	struct rpc rpc = {.type = RPC_REQUEST,
			  .msgid = msgid,
			  .method = {.bytes = message, .size = 12},
			  .params = {.bytes = params, .size = (size_t)(p - params)}};
	assert_int_equal(request_full_call(client, &rpc, NULL), 0);
	core_end_event(client->core);
}

/* ---- workers ---- */

static inline void world_ready(struct slot *slot)
{
	assert_int_equal(world_say(slot, "[i", 1, FROM_READY), 0);
	assert_int_equal(slot->state, SLOT_READY);
}

static inline struct pool *world_pool(struct core_world *world, const char *name, uint32_t size,
				      const struct pool_settings *settings)
{
	struct pool *pool = pool_new(&world->core, name, size, settings, NULL);

	assert_non_null(pool);
	for (uint32_t i = 0; i < size; i++)
		world_ready(pool->slots[i]);
	return pool;
}

/* The worker begins the batch that it was handed first and has not begun: returns its id. */
static inline uint32_t world_begin(struct slot *slot)
{
	struct batch *batch;

	TAILQ_FOREACH(batch, &slot->handed, link)
		if (board_move(slot->board, batch->id, BOARD_HANDED, BOARD_STARTED)) {
			(void)board_begin_item(slot->board, batch->id);
			return batch->id;
		}
	fail_msg("slot %u has nothing to begin", slot->index);
	return 0;
}

/* The worker answers nil to the batch, which took so many nanoseconds. */
static inline void world_reply(struct slot *slot, uint32_t id, uint64_t spent)
{
	atomic_store(&board_entry(slot->board, id)->spent, board_spent(spent));
	assert_int_equal(world_say(slot, "[iinn", 4, FROM_REPLY, id), 0);
}

static inline void world_exit(struct slot *slot, int status)
{
	struct core *core = slot->pool->core;
	slot_on_gone(slot, status, NULL);
	core_end_event(core);
}

static inline void world_pass(struct core_world *world, uint64_t nanoseconds)
{
	world->core.now += nanoseconds;
	timers_run(&world->core.timers, world->core.now, UINT32_MAX);
	core_end_event(&world->core);
}

/* ---- the end ---- */

/* All pools leave; their workers stop when they are told to. */
static inline void world_close(struct core_world *world)
{
	struct pool *pool;
	struct slot *slot;

	TAILQ_FOREACH(pool, &world->core.pools, link)
		if (!pool->leaving)
			pool_drop(pool, ERROR_CANCELLED, "the test is over");
	core_end_event(&world->core);
	while ((pool = TAILQ_FIRST(&world->core.pools))) {
		slot = TAILQ_FIRST(&pool->detached);
		assert_non_null(slot); /* else its calls never end */
		world_exit(slot, 0);
	}
	assert_int_equal(world->core.timers.open, 0);
	core_free(&world->core);
}

#endif
