/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recall: tasks that were handed to a worker go back into a queue. This happens when
 *
 *  - the worker is busy for longer than was estimated, and another worker is idle;
 *  - the worker does not react: then it gets nothing more until it reacts;
 *  - a client's maps have been handed far ahead, and others have come;
 *  - the client does not read its answers;
 *  - the pool is paused;
 *  - the worker has died.
 */
#ifndef CORE_RECALL_H
#define CORE_RECALL_H

#include "daemon/core/records/slot.h"

/* For a batch that was taken out of a slot's hands or queue. recall_put_back puts it at the front of the queue that it came from,
 * recall_move_to at the end of another slot's queue. Without memory its tasks fail. A batch whose call has been answered ends. */
void recall_put_back(struct batch *batch);
void recall_move_to(struct batch *batch, struct slot *slot);

/* The slot's worker runs a slow task: takes back the tasks that it has not begun and that another slot may do. The slot is handed
 * nothing ahead until the slow task has ended. */
void recall_tasks(struct slot *slot);

/* The client does not read its answers: takes back its tasks that no worker has begun. They wait until it reads. */
void recall_from_client(const struct client *client);

/* The pool is paused: takes back the tasks that no worker has begun. */
void recall_from_pool(struct pool *pool);

/* pool->recall fires: takes back tasks that wait behind slow tasks, or in workers that don't react, and sets the timer again. */
void recall_on_timer(struct timer *timer);

#endif
