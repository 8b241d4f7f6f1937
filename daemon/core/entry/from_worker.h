/* SPDX-License-Identifier: Apache-2.0 */
/* from_worker: reads what a worker says, as proto/channel.h draws it, and does what follows from it. to_worker.h writes. */
#ifndef CORE_FROM_WORKER_H
#define CORE_FROM_WORKER_H

#include "daemon/core/records/slot.h"

/* A whole, scanned message of the slot's worker. 0; or -EBADMSG (the worker broke the protocol) or -ENOMEM: the worker is
 * killed. */
int slot_on_message(struct slot *slot, struct span message, struct block *block);

#endif
