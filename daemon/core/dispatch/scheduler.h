/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scheduler: which batch goes to which worker, and how much of it at once.
 *
 * An idle worker pulls. A busy one is handed more only as far as that will take SLOT_AHEAD in all, by what its methods took so
 * far; a method not measured yet waits for an idle worker. What a wrong guess has put behind a slow task, recall.h takes back.
 */
#ifndef CORE_SCHEDULER_H
#define CORE_SCHEDULER_H

#include "daemon/core/records/pool.h"

#define SCHEDULER_SILENCE (5 * MILLISECOND) /* a worker that has begun nothing for so long does not react */

/* Queues a new batch, or hands it out at once. 0; -ENOMEM; or -EHOSTDOWN: the slot that it is addressed to has no instance, and the
 * batch is still the caller's. */
int scheduler_add(struct batch *batch);

/* The pool's slots pull what waits. */
void scheduler_run(struct pool *pool);

/* The slot has room: it pulls, from its own queue and its pool's in turn. */
void scheduler_pull(struct slot *slot);

#endif
