/* SPDX-License-Identifier: Apache-2.0 */
/*
 * input: the items of a map that are not all queued at once. A stream has a window, which bounds how far the pool runs ahead
 * of the results that have left. A map with `sync` runs in rounds. The items came with the call, or the client feeds them
 * piece by piece, against credit.
 *
 *   fed --credit--> items --window, or round--> the pool's queue --> workers --> results leave --> more credit
 *
 * This file decides which items may be queued. call_answer.c queues them. `struct input` is in call.h.
 */
#ifndef CORE_INPUT_H
#define CORE_INPUT_H

#include "daemon/core/records/call.h"

enum { INPUT_WINDOW_MAX = 1 << 24 };

/* Adds a batch to the items that are not queued yet. */
void input_add(struct call *call, struct batch *batch);

/* Takes the next items that may be queued now. 0: *batch has them, or is NULL if none may be queued; -ENOMEM. */
int input_next(struct call *call, struct batch **batch);

/* A batch of a stream has been taken out of a queue, or of a worker's hands: its items wait in their place again. */
void input_put_back(struct call *call, struct batch *batch);

/* The call's batches in the pool's queue are not begun now: their items wait in their place again, but for the item whose turn
 * it is. */
void input_unqueue(struct call *call);

/* Tells the client how many more items it may feed. */
void input_grant(struct call *call);

/* Drops the items that are not queued, and closes the input. */
void input_drop(struct call *call);

#endif
