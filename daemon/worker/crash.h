/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crash: when a method crashes or calls exit(), sends the answers that were finished before. Then the process ends as it would
 * have: a signal's default action follows (a core dump, if those are on). A child that a method has forked sends nothing: it has
 * no channel.
 */
#ifndef WORKER_CRASH_H
#define WORKER_CRASH_H

#include "daemon/worker/reply.h"

/* Have the reply of the calling thread sent so, and no longer. */
void crash_arm(struct reply *reply);
void crash_disarm(void);

#endif
