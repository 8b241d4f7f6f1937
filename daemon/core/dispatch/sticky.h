/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sticky: calls on all instances of a pool that the pool remembers. Each instance that is built later replays them in order
 * before it is ready. So a rebuilt instance is what its siblings are.
 *
 * Each instance gets each sticky call once. An instance that was there when the call came gets it as a task. The task runs
 * also when the caller has gone. If the worker dies before it has begun the task, the task waits for the next worker. An
 * instance that is built later replays the call, unless it is to get it as a task already. The tasks wait in flows of the
 * pool's own client, pool->self.
 *
 * A new worker gets the calls in portions. It gets the next portion when it has begun most of the last one. So neither the
 * time that one event takes nor the bytes that wait for a worker grow with the number of remembered calls.
 */
#ifndef CORE_STICKY_H
#define CORE_STICKY_H

#include "daemon/core/records/pool.h"
#include "daemon/core/records/slot.h"

enum { STICKY_MAX = 16384 /* calls that a pool remembers: forgetting all of them is one event */ };

/* The sticky calls of one method. */
struct sticky_kind {
	struct sticky_list list; /* in the order in which they came; never empty */
	uint64_t bytes;          /* of memory that they take */
	uint32_t count;
	uint64_t longest;        /* nanoseconds: the longest that one of these calls took on any instance */
};

struct sticky {
	TAILQ_ENTRY(sticky) link;
	TAILQ_ENTRY(sticky) of_kind;
	struct sticky_kind *kind;
	uint64_t number;      /* grows */
	enum sticky_mode mode;
	struct call *call;    /* NULL: it has ended */
	uint32_t awaited;     /* how many replays have it as `next` */
	struct block *bytes;
	struct span name, args, kwargs; /* kwargs: size 0: none */
};

void sticky_init(struct stickies *stickies);

/* Remembers the call, which has begun. 0; or, with *error made, -ENOSPC (the pool's memory for sticky calls is full) or
 * -ENOMEM. */
int sticky_remember(struct pool *pool, struct call *call, enum sticky_mode mode, struct error *error);

/* The call has run on an instance and took so many nanoseconds. sticky_longest: the longest time of all sticky calls of a
 * method. */
void sticky_on_run(const struct sticky *sticky, uint64_t nanoseconds);
uint64_t sticky_longest(const struct pool *pool, struct span method);

/* The call has ended. `refused`: every instance has failed it, so the pool forgets it. */
void sticky_on_call_end(struct pool *pool, struct call *call, bool refused);

/* Forgets the sticky calls of the method, or all of them (size 0). Returns how many. */
uint32_t sticky_forget(struct pool *pool, struct span method);

/* Begins to replay the calls that came after the call number `since`. If the slot's replay is on already, adds the calls that
 * came since it began. */
void replay_begin(struct slot *slot, uint64_t since);

/* Writes the next portion: an array of [method, args, kwargs], and whether more will follow. */
void replay_put(struct slot *slot, struct sendq *out);

/* The worker has begun a call that it was given to replay. True: it wants the next portion. */
bool replay_on_begun(struct replay *replay);

/* The slot's worker has gone. */
void replay_end(struct slot *slot);

#endif
