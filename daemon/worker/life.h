/* SPDX-License-Identifier: Apache-2.0 */
/* life: builds the instance, replays its sticky calls, leases and releases it, saves and restores its state, stops it. Each
 * function reads what follows the message's type (proto/channel.h). */
#ifndef WORKER_LIFE_H
#define WORKER_LIFE_H

#include "daemon/worker/host.h"

void life_on_start(struct host *host, struct reader *reader);

/* Runs sticky calls again, and announces each before it runs. An instance that is starting is ready after the last of them. */
void life_on_replay(struct host *host, struct reader *reader);

void life_on_session_end(struct host *host, struct reader *reader);
void life_on_lease(struct host *host, struct reader *reader);
void life_on_release(struct host *host, struct reader *reader);
void life_on_restore(struct host *host, struct reader *reader);
void life_on_stop(struct host *host, struct reader *reader);

#endif
