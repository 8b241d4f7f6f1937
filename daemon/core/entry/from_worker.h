/* SPDX-License-Identifier: Apache-2.0 */
/* from_worker: reads messages of a worker, as proto/channel.h draws them, and acts on them. to_worker.h writes to workers. */
#ifndef CORE_FROM_WORKER_H
#define CORE_FROM_WORKER_H

#include "daemon/core/records/slot.h"

/* Takes in a whole, scanned message of the slot's worker; `block` holds its bytes, or is NULL. 0; or -EBADMSG (the worker
 * broke the protocol) or -ENOMEM, and the worker is killed. */
int slot_on_message(struct slot *slot, struct span message, struct block *block);

#endif
