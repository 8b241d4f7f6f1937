/* SPDX-License-Identifier: Apache-2.0 */
/* report: reads what a worker says, as proto/channel.h draws it, and does what follows from it. handover.c's other half. */
#ifndef CORE_REPORT_H
#define CORE_REPORT_H

#include "daemon/core/slot.h"

/* One whole, scanned message. 1: a batch is done with; 0; -EBADMSG: no message of a worker. */
int report_read(struct slot *slot, struct span message, struct block *block);

#endif
