/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direct: the instance's direct channels (direct_channel.h). The loop takes turns between what the supervisor has sent and each
 * of them, and waits for all of them together.
 */
#ifndef WORKER_DIRECT_H
#define WORKER_DIRECT_H

#include "daemon/worker/host.h"

#define DIRECT_TURN 500000 /* nanoseconds for one channel, or for the supervisor's messages, before the others have their turn */

/* [ATTACH, …], [DETACH, …] */
void directs_on_attach(struct host *host, struct reader *reader);
void directs_on_detach(struct host *host, struct reader *reader);
void directs_on_drop(struct host *host, struct reader *reader);

bool directs_any(const struct host *host);

/* A turn for each channel. True: one of them has more. */
bool directs_take_turns(struct host *host);

/* Waits for messages of the supervisor and of the channels, and for what the class watches, until CLOCK_MONOTONIC nanoseconds, and
 * reads what has come. As inbox_fill. */
int directs_fill(struct host *host, uint64_t until);

/* When a channel has to be cut. UINT64_MAX: none has. */
uint64_t directs_wake_at(const struct host *host);

void directs_free(struct host *host);

#endif
