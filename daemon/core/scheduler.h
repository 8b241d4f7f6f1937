/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scheduler: which batch goes to which worker, and how much of it at once.
 *
 * An idle worker pulls. A busy one is handed more only as far as that will take SCHEDULER_AHEAD in all, by what its
 * methods took so far; a method not measured yet waits for an idle worker. When a guess was wrong, and something waits
 * behind a slow task while another worker is idle, it is taken back. Tasks are also taken back from a worker that does not
 * react; this worker gets nothing more until it reacts.
 */
#ifndef CORE_SCHEDULER_H
#define CORE_SCHEDULER_H

#include "daemon/core/pool.h"

#define SCHEDULER_AHEAD (MILLISECOND)     /* of work in a worker's hands */
#define SCHEDULER_SILENCE (5 * MILLISECOND) /* a worker that has begun nothing for so long does not react */

enum {
	SCHEDULER_MOST = 768,            /* batches in a worker's hands */
	SCHEDULER_UNSENT = 1 << 20,      /* bytes to a worker that does not take them */
};

/* Queues a new batch, or hands it out at once. 0; -ENOMEM; or -EHOSTDOWN: the slot that it is addressed to has no instance, and the
 * batch is still the caller's. */
int scheduler_add(struct batch *batch);

/* The pool's slots pull what waits. */
void scheduler_run(struct pool *pool);

/* The slot has room: it pulls, from its own queue and its pool's in turn. */
void scheduler_pull(struct slot *slot);

/* The slot's state, or what it holds, has changed: puts it on the list where it belongs. */
void scheduler_relist(struct slot *slot);

/* Takes the batch out of the slot's hands. */
void scheduler_release(struct batch *batch);

/* For a batch that was taken out of a slot's hands or queue: puts it to the front of the queue that it came from; or to the end
 * of another slot's queue. Its tasks fail when there is no memory for it. A batch whose call has been answered ends. */
void scheduler_put_back(struct batch *batch);
void scheduler_move_to(struct batch *batch, struct slot *slot);

/* Something slow runs in the slot: takes back the tasks that it has not begun and another slot may do. Until the slow task has
 * ended the slot is handed nothing ahead. */
void scheduler_recall(struct slot *slot);

/* pool->recall: is something waiting behind a slow task? */
void scheduler_on_recall(struct timer *timer);

#endif
