/* SPDX-License-Identifier: Apache-2.0 */
/* life: the instance's life: built, its sticky calls replayed, leased and released, its state saved and restored, stopped. Each
 * function reads what follows the message's type (proto/channel.h). */
#ifndef WORKER_LIFE_H
#define WORKER_LIFE_H

#include "daemon/worker/host.h"

void life_on_start(struct host *host, struct reader *reader);

/* Sticky calls to be run again, each of which is announced first. An instance that is starting is ready after the last of them. */
void life_on_replay(struct host *host, struct reader *reader);

void life_on_session_end(struct host *host, struct reader *reader);
void life_on_lease(struct host *host, struct reader *reader);
void life_on_release(struct host *host, struct reader *reader);
void life_on_restore(struct host *host, struct reader *reader);
void life_on_stop(struct host *host, struct reader *reader);

#endif
