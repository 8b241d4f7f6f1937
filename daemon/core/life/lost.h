/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lost: tasks whose instance has gone, or that wait for an instance which will not come. Tasks fail. Tasks that have not
 * begun, and that another instance may do, go back into their queue.
 */
#ifndef CORE_LOST_H
#define CORE_LOST_H

#include "daemon/core/records/slot.h"

/* Makes the WORKER_LOST for a call of the worker that has ended. */
void lost_say_why(const struct slot *slot, int status, enum ran ran, struct error *error);

/* The worker has died: tasks that it had begun or put off fail, and the others go back into their queue. `status` is as of
 * waitpid. */
void lost_with_worker(struct slot *slot, int status);

/* Fails the tasks that wait in the instance, which has put them off: no call can come any more that would have it answer. */
void lost_waiters(struct slot *slot);

/* The instance stops: fails all tasks that it has put off. */
void lost_deferred(struct slot *slot);

/* The slot's last start has failed: fails the tasks that are addressed to it. If no slot of the pool has an instance, fails
 * all tasks that wait in the pool. */
void lost_by_broken(struct slot *slot);

/* Fails the tasks that wait for any instance of the pool, if the last start of each of its slots has failed. */
void lost_by_unavailable(struct pool *pool);

/* The slot is removed: fails the tasks that are addressed to it. */
void lost_by_removal(struct slot *slot);

#endif
