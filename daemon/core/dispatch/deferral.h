/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deferral: tasks that their methods have put off (objpool_defer). Each is a batch of one task in slot->deferred, and has a
 * tag that the worker gave it. If the worker answers while the caller gives up, the board's ledger settles which of both was
 * first.
 */
#ifndef CORE_DEFERRAL_H
#define CORE_DEFERRAL_H

#include "daemon/core/records/slot.h"

/* The worker has put off the batch's task, and calls it `tag`, which must not be in use: has the batch found by it. 0 or
 * -ENOMEM. */
int deferral_name(struct slot *slot, struct batch *batch, uint64_t tag);

/* Then, once the batch is in the worker's hands no more: adds it to slot->deferred. `at_work`: the task does not only wait. */
void deferral_add(struct slot *slot, struct batch *batch, uint64_t tag, bool at_work);

/* The task has been answered: takes its batch out of the slot. The caller ends the batch. */
void deferral_remove(struct slot *slot, struct batch *batch);

/* Nobody waits for the task any more: tells the worker, and ends the batch. If the answer is on its way, the batch ends with
 * it. */
void deferral_give_up(struct slot *slot, struct batch *batch);

/* Takes all batches whose tasks have not been answered, and that are at work or not, out of the slot: the caller fails them. */
void deferral_take(struct slot *slot, bool at_work, struct batch_list *taken);

/* The worker has gone: takes all deferred batches out of the slot. Returns how many. */
uint32_t deferral_on_gone(struct slot *slot, struct batch_list *taken);

#endif
