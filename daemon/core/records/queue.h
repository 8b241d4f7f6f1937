/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue: batches that wait. Each client has a flow of its own in a queue, and flows take turns. So a client waits behind its
 * own items, and not behind another client's million. A pool has one queue for the tasks that any slot may do. Each slot has
 * one for the tasks that are addressed to it.
 *
 *   queue.flows -> [client 7: batch, batch, batch] -> [client 9: batch] -> ...     it is the head's turn
 */
#ifndef CORE_QUEUE_H
#define CORE_QUEUE_H

#include "daemon/core/records/call.h"

struct flow {
	TAILQ_ENTRY(flow) turn;      /* in queue->flows, or in queue->held */
	TAILQ_ENTRY(flow) of_client; /* in client->flows */
	struct queue *queue;
	struct client *client;
	struct batch_list batches;   /* never empty */
	bool held;                   /* its client doesn't read, or the pool is paused: it has no turns */
	bool had_turn;               /* it has had its turn while no other flow waited: a flow that comes now is next */
};

struct queue {
	struct pool *pool;
	uint32_t *waiting;      /* pool->waiting */
	const bool *paused;     /* pool->paused: only calls from inside the pool have turns */
	struct flow_list flows; /* the head's turn is next */
	struct flow_list held;  /* flows that have no turns */
	struct idmap by_client;
	uint32_t count; /* batches */
	uint32_t maps;  /* how many of the batches are of maps */
};

void queue_init(struct queue *queue, struct pool *pool, uint32_t *waiting, const bool *paused);
void queue_free(struct queue *queue); /* it must be empty */

/* Adds a batch at the end of the client's flow. queue_push_front adds a batch that was taken back at the front. 0 or -ENOMEM. */
int queue_push(struct queue *queue, struct batch *batch, struct client *client);
int queue_push_front(struct queue *queue, struct batch *batch, struct client *client);

/* Adds a batch directly before a batch that waits. */
void queue_put_before(struct batch *batch, struct batch *waiting);

/* Puts a batch that waits at the end of its client's flow in another queue. 0, or -ENOMEM: it is where it was. */
int queue_move(struct batch *batch, struct queue *to);

/* The batch whose turn it is, or NULL. It stays in the queue. */
struct batch *queue_next(struct queue *queue);

/* The client's first batch, or NULL. */
struct batch *queue_next_of(const struct queue *queue, uint64_t client);

/* Do only items of one client's maps wait? */
bool queue_is_of_maps(const struct queue *queue);

/* Any batch, also of a flow that is held. NULL: the queue is empty. */
struct batch *queue_any(struct queue *queue);

/* The next flow has its turn. */
void queue_turn(struct queue *queue);

/* `by` tasks have been taken out of a batch that waits, and others are left. */
void queue_shortened(const struct batch *batch, uint32_t by);

void queue_remove(struct batch *batch);

/* The flow's client reads again. True: the flow was held, and takes turns again. */
bool flow_resume(struct flow *flow);

/* The pool is not paused any more: its flows take turns again. */
void queue_resume(struct queue *queue);

#endif
