/* SPDX-License-Identifier: Apache-2.0 */
/* from_worker: reads what a worker says, as proto/channel.h draws it, and does what follows from it. to_worker.h writes. */
#ifndef CORE_FROM_WORKER_H
#define CORE_FROM_WORKER_H

#include "daemon/core/slot.h"

/* One whole, scanned message. 1: a batch is done with; 0; -EBADMSG: no message of a worker. */
int from_worker_read(struct slot *slot, struct span message, struct block *block);

#endif
