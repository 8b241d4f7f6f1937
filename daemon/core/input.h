/* SPDX-License-Identifier: Apache-2.0 */
/*
 * input: the items of a map that are not all queued at once: those of a stream, whose window bounds how far the pool
 * runs ahead of the results that have left, and those of a map in rounds (`sync`). They came with the call, or are
 * fed, piece by piece, against credit.
 *
 *   fed --credit--> items --window, or round--> the pool's queue --> workers --> results leave --> more credit
 */
#ifndef CORE_INPUT_H
#define CORE_INPUT_H

#include "daemon/core/queue.h"

enum { INPUT_WINDOW_MOST = 1 << 24 };

struct call;

struct input {
	bool on;                  /* items wait here, not in the queue */
	bool fed;                 /* they come as objpool.feed */
	bool open;                /* and more may come */
	bool sync;                /* rounds of one item per slot */
	bool busy;                /* in input_pump */
	bool held;                /* results before their turn take too much memory: only the item that they wait for may go on */
	uint32_t window;          /* items accepted and unanswered; 0: by the pool's width and the method's pace */
	struct batch_list items;  /* not queued yet */
	uint64_t count;           /* how many items these are */
	uint64_t granted;         /* credit given so far */
	uint64_t released;        /* items queued so far */
	uint64_t round;           /* items of this round without a result */
};

void input_init(struct input *input);

/* Items of a call that isn't queued yet: gives them over. */
void input_add(struct call *call, struct batch *batch);

/* Queues what may be queued now, and gives credit for what may come. 0 or -ENOMEM. */
int input_pump(struct call *call);

/* Drops what is not queued. */
void input_drop(struct call *call);

#endif
