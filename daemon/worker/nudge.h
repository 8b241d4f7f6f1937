/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nudge: a thread that sends finished answers while a method runs. The supervisor wakes it (board->nudge) when the method runs
 * for longer than was thought: the answers before it would otherwise wait for its end, to be sent together.
 */
#ifndef WORKER_NUDGE_H
#define WORKER_NUDGE_H

#include "daemon/worker/reply.h"
#include "proto/channel.h"

struct nudge;

/* NULL: the thread could not be started. Then such answers come later; nothing is lost. */
struct nudge *nudge_start(struct reply *reply, struct board *board);

/* Ends the thread; accepts NULL. */
void nudge_stop(struct nudge *nudge);

#endif
