/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train: plain calls of one session that came together. Each is a request of MessagePack-RPC, as its client wrote it, and is
 * answered with the response that the client will read.
 */
#ifndef WORKER_TRAIN_H
#define WORKER_TRAIN_H

#include "daemon/worker/host.h"

/* [CALLS, id, session, method, first, count, [request, ...]] */
void train_on_message(struct host *host, struct reader *reader);

#endif
