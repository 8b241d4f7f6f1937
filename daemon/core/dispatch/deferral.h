/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deferral: tasks that their methods have put off (objpool_defer): each a batch of one, in slot->deferred, known by its
 * tag until the worker answers it. Who comes first, the answer or the giving up, is settled in the board's ledger.
 */
#ifndef CORE_DEFERRAL_H
#define CORE_DEFERRAL_H

#include "daemon/core/records/slot.h"

/* The worker has put the batch's task off, and calls it `tag`, which must not be in use. 0 or -ENOMEM. */
int deferral_name(struct slot *slot, struct batch *batch, uint64_t tag);

/* And it is in the worker's hands no more. */
void deferral_add(struct slot *slot, struct batch *batch, uint64_t tag);

/* It has been answered: it is the caller's again. */
void deferral_remove(struct slot *slot, struct batch *batch);

/* The caller doesn't wait any more. The batch has ended when this returns, unless its answer is on its way. */
void deferral_give_up(struct slot *slot, struct batch *batch);

/* Takes all that are not answered out of the slot: the caller fails them. */
void deferral_take_all(struct slot *slot, struct batch_list *taken);

/* The worker has gone: takes all of them out of the slot. How many. */
uint32_t deferral_on_gone(struct slot *slot, struct batch_list *taken);

#endif
