/* SPDX-License-Identifier: Apache-2.0 */
/* call: [CALL, ...], one call of one method, and its answer. */
#ifndef WORKER_CALL_H
#define WORKER_CALL_H

#include "daemon/worker/host.h"

/* What follows the type; the message has `fields` fields. */
void call_on_message(struct host *host, struct reader *reader, uint32_t fields);

#endif
