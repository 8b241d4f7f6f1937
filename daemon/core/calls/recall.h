/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recall: tasks that were handed out and go back into a queue: from a worker that is busy for longer than was thought, while another
 * one is idle; from a worker that does not react, which gets nothing more until it does; from one that died.
 */
#ifndef CORE_RECALL_H
#define CORE_RECALL_H

#include "daemon/core/records/slot.h"

/* For a batch that was taken out of a slot's hands or queue: puts it to the front of the queue that it came from; or to the end
 * of another slot's queue. Its tasks fail when there is no memory for it. A batch whose call has been answered ends. */
void recall_put_back(struct batch *batch);
void recall_move_to(struct batch *batch, struct slot *slot);

/* Something slow runs in the slot: takes back the tasks that it has not begun and another slot may do. Until the slow task has
 * ended the slot is handed nothing ahead. */
void recall_tasks(struct slot *slot);

/* pool->recall: is something waiting behind a slow task? */
void recall_on_timer(struct timer *timer);

#endif
