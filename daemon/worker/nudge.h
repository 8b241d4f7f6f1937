/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nudge: a thread that sleeps until the supervisor finds that a method runs for longer than was thought, and then sends
 * the answers that were finished before it and wait to be sent together.
 */
#ifndef WORKER_NUDGE_H
#define WORKER_NUDGE_H

#include "daemon/worker/reply.h"
#include "proto/channel.h"

/* Without the thread (no memory for one) such answers come later: nothing else is lost. */
void nudge_start(struct reply *reply, struct board *board);

#endif
