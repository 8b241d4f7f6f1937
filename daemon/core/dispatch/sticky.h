/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sticky: calls on all of a pool's instances that are remembered, and replayed in order on every instance built later,
 * before it is ready: a rebuilt worker is what its siblings are.
 *
 * Each instance gets each such call once. An instance that was there when the call came has it as a task; it runs even when
 * the caller has gone, and what a dead worker had not begun waits for its successor. One that is built later has it
 * replayed, unless it waits for it as a task already. The tasks wait in flows of the pool's own client.
 *
 * A new worker gets the calls in portions, the next one when it has begun most of the last: neither the time that one event
 * takes nor the bytes that wait for a worker grow with what is remembered.
 */
#ifndef CORE_STICKY_H
#define CORE_STICKY_H

#include "daemon/core/records/pool.h"
#include "daemon/core/records/slot.h"

enum { STICKY_MAX = 16384 /* calls that a pool remembers: forgetting all of them is one event */ };

/* Those of one method. */
struct sticky_kind {
	struct sticky_list list; /* in the order in which they came; never empty */
	uint64_t bytes;          /* that they take */
	uint32_t count;
	uint64_t longest;        /* nanoseconds: the longest that one of them took on any instance */
};

struct sticky {
	TAILQ_ENTRY(sticky) link;
	TAILQ_ENTRY(sticky) of_kind;
	struct sticky_kind *kind;
	uint64_t number;      /* grows */
	enum sticky_mode mode;
	struct call *call;    /* as long as it lives */
	uint32_t awaited;     /* replays whose `next` it is */
	struct block *bytes;
	struct span name, args, kwargs; /* kwargs: size 0: none */
};

void sticky_init(struct stickies *stickies);

/* Remembers the call, which has begun. 0, or -ENOSPC with *error made: the pool's memory for them is full; or -ENOMEM,
 * likewise. */
int sticky_remember(struct pool *pool, struct call *call, enum sticky_mode mode, struct error *error);

/* It has run on an instance, and took so many nanoseconds. And: the longest time of all sticky calls of a method. */
void sticky_on_run(const struct sticky *sticky, uint64_t nanoseconds);
uint64_t sticky_longest(const struct pool *pool, struct span method);

/* The call has ended; `refused`: no instance took it, so it is forgotten. */
void sticky_on_call_end(struct pool *pool, struct call *call, bool refused);

/* Forgets those of the method, or all of them (size 0). How many. */
uint32_t sticky_forget(struct pool *pool, struct span method);

/* Begins to replay what came after the call number `since`, or, if the slot's replay is on already, adds to it what came since it
 * began. */
void replay_begin(struct slot *slot, uint64_t since);

/* Writes the next portion: an array of [method, args, kwargs], and whether more will follow. */
void replay_put(struct slot *slot, struct sendq *out);

/* The worker has begun a call that it was given to replay. True: it wants the next portion. */
bool replay_on_begun(struct replay *replay);

/* The slot's worker has gone. */
void replay_end(struct slot *slot);

#endif
