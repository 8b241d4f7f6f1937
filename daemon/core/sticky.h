/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sticky: calls on all of a pool's instances that are remembered, and replayed in order on every instance built later,
 * before it is ready: a rebuilt worker is what its siblings are.
 *
 * Each instance gets each such call once. An instance that was there when the call came has it as a task; it runs even when
 * the caller has gone, and what a dead worker had not begun waits for its successor. One that is built later has it
 * replayed, unless it waits for it as a task already. The tasks wait in flows of the pool's own client.
 */
#ifndef CORE_STICKY_H
#define CORE_STICKY_H

#include "proto/block.h"
#include "proto/sendq.h"
#include "proto/read.h"

#include <sys/queue.h>

struct call;
struct error;
struct pool;
struct slot;

enum sticky_mode { STICKY_NO, STICKY_REPLACE, STICKY_APPEND };

struct sticky {
	TAILQ_ENTRY(sticky) link;
	uint64_t number;      /* grows */
	enum sticky_mode mode;
	struct call *call;    /* as long as it lives */
	uint64_t longest;     /* nanoseconds: the longest that it took on any instance */
	struct block *bytes;
	struct span name, args, kwargs; /* kwargs: size 0: none */
};

TAILQ_HEAD(sticky_list, sticky);

struct stickies {
	struct sticky_list list; /* in the order in which they came */
	uint64_t last;           /* number */
	uint64_t bytes;          /* that they take */
	uint32_t count;
};

void sticky_init(struct stickies *stickies);

/* Remembers the call, which has begun. 0, or -ENOSPC with *error made: the pool's memory for them is full; or -ENOMEM,
 * likewise. */
int sticky_remember(struct pool *pool, struct call *call, enum sticky_mode mode, struct error *error);

/* It has run on an instance, and took so many nanoseconds. And: the longest time of all sticky calls of a method. */
void sticky_on_run(struct sticky *sticky, uint64_t nanoseconds);
uint64_t sticky_longest(const struct pool *pool, struct span method);

/* The call has ended; `refused`: no instance took it, so it is forgotten. */
void sticky_on_call_end(struct pool *pool, struct call *call, bool refused);

/* Forgets those of the method, or all of them (size 0). How many. */
uint32_t sticky_forget(struct pool *pool, struct span method);

/* The slot's successor is about to be told what to replay: it gets the tasks that the slot has not begun. */
void sticky_hand_on(struct slot *slot, struct slot *successor);

/* Writes those that the slot's new worker has to replay, and that came after `since`, as an array of [method, args, kwargs]. */
void sticky_put(const struct slot *slot, uint64_t since, struct sendq *out);

#endif
