/* SPDX-License-Identifier: Apache-2.0 */
/* worker_yield: values that a method gives one by one while it runs, and the wait when its caller is slow to take them. */
#ifndef WORKER_WORKER_YIELD_H
#define WORKER_WORKER_YIELD_H

#include "daemon/worker/task.h"

/* objpool_host.yield */
int worker_yield_value(struct objpool_call *call, const void *msgpack, size_t size);

/* [TAKEN, id, bytes], from `id` on. It may be of a task that has ended. */
void worker_yield_on_taken(struct task *task, struct reader *reader);

#endif
