/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nudge: a thread that sleeps until the supervisor finds that a method runs for longer than was thought, and then sends
 * the answers that were finished before it and wait to be sent together.
 */
#ifndef WORKER_NUDGE_H
#define WORKER_NUDGE_H

#include "daemon/worker/reply.h"
#include "proto/channel.h"

struct nudge;

/* NULL without the thread (no memory for one): such answers come later then, nothing else is lost. */
struct nudge *nudge_start(struct reply *reply, struct board *board);

/* Ends the thread; accepts NULL. */
void nudge_stop(struct nudge *nudge);

#endif
