/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue: batches that wait, one flow per client, flows in turn: a client with a million items waits behind its own only.
 * A pool has one queue for what any slot may do; each slot has one for what is addressed to it.
 *
 *   queue.flows -> [client 7: batch, batch, batch] -> [client 9: batch] -> ...     the head is whose turn it is
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
	bool held;                   /* its client doesn't read: out of the turns */
	bool had_turn;               /* and nobody else waited: who comes now is next */
};

struct queue {
	struct pool *pool;
	uint32_t *waiting;      /* counts the batches in all queues of the pool, and the calls of trains */
	struct flow_list flows; /* the head's turn is next */
	struct flow_list held;  /* of clients that don't read */
	struct idmap by_client;
	uint32_t count; /* batches */
};

void queue_init(struct queue *queue, struct pool *pool, uint32_t *waiting);
void queue_free(struct queue *queue); /* it must be empty */

/* Adds a batch at the end of the client's flow, or, what has been taken back, at its front. 0 or -ENOMEM. */
int queue_push(struct queue *queue, struct batch *batch, struct client *client);
int queue_push_front(struct queue *queue, struct batch *batch, struct client *client);

/* Adds a batch directly before one that waits. */
void queue_put_before(struct batch *batch, struct batch *waiting);

/* The batch whose turn it is, or NULL. It stays. */
struct batch *queue_next(struct queue *queue);

/* The client's first batch, or NULL. */
struct batch *queue_next_of(const struct queue *queue, uint64_t client);

/* Some batch, whether it may have its turn or not; NULL when there is none. */
struct batch *queue_any(struct queue *queue);

/* The next flow has its turn. */
void queue_turn(struct queue *queue);

/* So many tasks have been taken out of a batch that waits, which keeps others. */
void queue_shortened(const struct batch *batch, uint32_t by);

void queue_remove(struct batch *batch);

/* The flow's client reads again. True: the flow was held, and has its turns again. */
bool flow_resume(struct flow *flow);

#endif
