/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lost: tasks whose instance has gone, or that wait for one which will not come: they fail, or, if they have not begun, go
 * back to their queue.
 */
#ifndef CORE_LOST_H
#define CORE_LOST_H

#include "daemon/core/records/slot.h"

/* The worker has died: what it had begun, or put off, is lost; what it had not begun goes back. `status` as of waitpid. */
void lost_with_worker(struct slot *slot, int status);

/* The instance will answer none of the tasks that it has put off: it stops, or nobody can come any more who would have it
 * answer. */
void lost_deferred(struct slot *slot);

/* The slot's last start has failed: fails what is addressed to it; and, if no slot of the pool has an instance, all that
 * waits. */
void lost_by_broken(struct slot *slot);

/* Fails what waits for any instance of the pool, if the last start of each of its slots has failed. */
void lost_by_unavailable(struct pool *pool);

/* The slot goes: fails what is addressed to it. */
void lost_by_removal(struct slot *slot);

#endif
