/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scheduler: which batch goes to which worker, and how much of it at once.
 *
 * An idle worker pulls a batch. A busy worker is handed more as long as all tasks in its hands are estimated to take less than
 * SLOT_AHEAD. A method that has not been measured waits for an idle worker. When an estimate was wrong and tasks wait behind a
 * slow one, recall.h takes them back.
 */
#ifndef CORE_SCHEDULER_H
#define CORE_SCHEDULER_H

#include "daemon/core/records/pool.h"

#define SCHEDULER_SILENCE (5 * MILLISECOND) /* a worker that has begun nothing for so long does not react */

/* Queues a new batch, or hands it out at once. 0; -ENOMEM: the batch has ended; -EHOSTDOWN: the slot that it is addressed to
 * has no instance, and the caller ends the batch. */
int scheduler_add(struct batch *batch);

/* The pool's slots pull the batches that wait. */
void scheduler_run(struct pool *pool);

/* An instance that runs nothing and has nothing of the daemon's in hand. NULL: there is none. */
struct slot *scheduler_first_free(const struct pool *pool);

/* The slot has room: it pulls, from its own queue and its pool's in turn. */
void scheduler_pull(struct slot *slot);

#endif
