/* SPDX-License-Identifier: Apache-2.0 */
/* worker_yield: sends values that a method gives one by one while it runs, or once it has been deferred. The method waits if its
 * caller is slow to take them. */
#ifndef WORKER_WORKER_YIELD_H
#define WORKER_WORKER_YIELD_H

#include "daemon/worker/deferred.h"

/* objpool_host.yield */
int worker_yield_value(struct objpool_call *call, const void *msgpack, size_t size);

/* The same for a deferred call, which does not wait: -EAGAIN. */
int worker_yield_later(struct deferred *deferred, const void *msgpack, size_t size);

/* Reads [TAKEN, id, bytes] from `id` on. The task may have ended already. */
void worker_yield_on_taken(struct task *task, struct reader *reader);

#endif
