/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deferred: calls that a method has kept, to be answered by a later one. Each has a number, its tag, and a word on the board's
 * ledger, where it is settled without a system call who was first: the class that answers, or the supervisor whose
 * caller has given up.
 *
 * A deferred call gets an answer even when there is no memory for it: room for a short error is set aside when the call is
 * deferred.
 */
#ifndef WORKER_DEFERRED_H
#define WORKER_DEFERRED_H

#include "daemon/worker/task.h"
#include "proto/timers.h"

struct deferrals {
	struct task *task;
	struct board *board;
	struct deferred **by_place; /* [LEDGER_ENTRIES], by tag; NULL until the first is deferred */
	uint32_t count;
	uint64_t last_tag;
	struct timers timers;
	uint8_t *answers;           /* whole messages, to go out behind the present task's own */
	size_t answers_size, answers_room;
	bool failed;                /* the answer being written is not whole: there was no memory for the rest */
};

void deferrals_init(struct deferrals *deferrals, struct task *task, struct board *board);

/* Forgets all: the supervisor answers them. */
void deferrals_free(struct deferrals *deferrals);

/* objpool_host.defer and .answer. */
struct objpool_call *deferred_new(struct objpool_call *call, uint64_t wake_at);
int deferred_answer(struct objpool_call *call, const void *msgpack, size_t size);

/* The answers that have been given since the last call of this function; borrowed until the next answer is given. */
struct span deferred_answers(struct deferrals *deferrals);

/* The task that has just run has deferred itself: its tag, which is forgotten; or 0. */
uint64_t deferred_take(struct task *task);

/* The method has failed after all. */
void deferred_undo(struct deferrals *deferrals, uint64_t tag);

/* The supervisor says that nobody waits for it any more: tells the class, unless it has tried to answer already. */
void deferred_gone(struct deferrals *deferrals, uint64_t tag);

/* Wakes what is due at `now`. */
void deferred_wake(struct deferrals *deferrals, uint64_t now);

#endif
