/* SPDX-License-Identifier: Apache-2.0 */
/*
 * many: runs the tasks of one batch, one after the other: the items of a map (items.h), or the calls of a train (train.h).
 * Before each task it asks the board whether the task is still this worker's. A class's objpool_many_fn gets all items of a map
 * in one call, and asks for each; else the method is called for each task. Both go the same way:
 *
 *     begin the task on the board, read its arguments --> the class writes the value --> end it: value, error or deferral
 *
 * A value is written where it is sent from, behind those before it, and counts as finished at once (reply_nudge may send it).
 */
#ifndef WORKER_MANY_H
#define WORKER_MANY_H

#include "daemon/worker/host.h"

struct many;

/* What items and calls of trains differ in. */
struct many_kind {
	/* Adds the arguments of the next task to host->task. 0, or -1 with the error set. */
	int (*read)(struct many *many);

	/* Writes what stands before the value. NULL: nothing. */
	void (*put_head)(struct many *many);

	bool one_call;       /* they belong to one call of the client: an objpool_many_fn gets all of them */
	uint64_t patience;   /* nanoseconds for which a finished answer waits for others */
	uint32_t look_every; /* short tasks between two looks at the clock */
};

struct many {
	struct host *host;
	const struct many_kind *kind;
	uint64_t id, first, count; /* of the batch; of its first task; of its tasks */
	uint64_t done;             /* tasks that have been answered */
	bool found;                /* the class has the method: it is host->method */
	bool over;                 /* no more tasks begin */
	uint32_t look_at;          /* the task before which the clock is read again */
	uint32_t stride;           /* how many tasks lie between two looks: fewer when they take long */
	uint64_t looked;           /* when the clock was last read */
};

/* The number of the task that runs. */
static inline uint64_t many_task(const struct many *many)
{
	return many->first + many->done;
}

/* Runs the batch, which has been claimed. Returns how many of its tasks were answered: the supervisor has taken back the rest. */
uint32_t many_run(struct many *many);

#endif
