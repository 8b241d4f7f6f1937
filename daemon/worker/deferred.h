/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deferred: calls that a method has put off, to be answered during a later call. Each has a number, its tag, and a word on the
 * board's ledger. The word settles without a system call who was first: the class that answers, or the supervisor that gives
 * the call up because its caller has gone.
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

/* Frees all of them. The supervisor answers them. */
void deferrals_free(struct deferrals *deferrals);

/* objpool_host.defer and .answer. */
struct objpool_call *deferred_new(struct objpool_call *call, uint64_t wake_at);
int deferred_answer(struct objpool_call *call, const void *msgpack, size_t size);

/* The answers that have been given since the last call of this function. Valid until the next answer is given. */
struct span deferred_answers(struct deferrals *deferrals);

/* The tag that the task which has just run got when it deferred itself; 0: it did not. The task forgets the tag. */
uint64_t deferred_take(struct task *task);

/* Forgets a deferred call whose method has failed after all. */
void deferred_undo(struct deferrals *deferrals, uint64_t tag);

/* The supervisor has said that nobody waits for the call any more. Tells the class, unless it has tried to answer already. */
void deferred_gone(struct deferrals *deferrals, uint64_t tag);

/* Tells the class of deferred calls whose time to wake has come at `now`. */
void deferred_wake(struct deferrals *deferrals, uint64_t now);

#endif
