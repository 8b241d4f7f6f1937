/* SPDX-License-Identifier: Apache-2.0 */
/*
 * input: the items of a map that are not all queued at once: those of a stream, whose window bounds how far the pool
 * runs ahead of the results that have left, and those of a map in rounds (`sync`). They came with the call, or are
 * fed, piece by piece, against credit.
 *
 *   fed --credit--> items --window, or round--> the pool's queue --> workers --> results leave --> more credit
 *
 * Here is decided which items may be queued; call_answer.c queues them. `struct input` is in call.h.
 */
#ifndef CORE_INPUT_H
#define CORE_INPUT_H

#include "daemon/core/records/call.h"

enum { INPUT_WINDOW_MAX = 1 << 24 };

/* Items of a call that isn't queued yet: gives them over. */
void input_add(struct call *call, struct batch *batch);

/* Takes the next items that may be queued now. 0: *batch is to be queued, or NULL: none may be; -ENOMEM. */
int input_next(struct call *call, struct batch **batch);

/* Tells the client how many more items it may feed. */
void input_grant(struct call *call);

/* Drops what is not queued. */
void input_drop(struct call *call);

#endif
