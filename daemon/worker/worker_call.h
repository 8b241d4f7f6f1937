/* SPDX-License-Identifier: Apache-2.0 */
/* worker_call: [CALL, ...], one call of one method, and its answer. */
#ifndef WORKER_WORKER_CALL_H
#define WORKER_WORKER_CALL_H

#include "daemon/worker/host.h"

/* What follows the type; the message has `fields` fields. */
void worker_call_on_message(struct host *host, struct reader *reader, uint32_t fields);

#endif
