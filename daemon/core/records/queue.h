/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queue: batches that wait. Those of one priority are on one level. Each client has a flow of its own on a level. The flows
 * of one user are a party. Parties take turns, and in each turn of a party one of its flows has its turn. So a client waits
 * behind its own items, and not behind another client's million; and a user with a hundred connections gets as much as a user
 * with one. A client that is no user's is a party by itself. Calls of methods are in the party of the user whose call led to
 * them. A pool has one queue for the tasks that any slot may do. Each slot has one for the tasks that are addressed to it.
 *
 *   level 0.parties -> [user a: [client 7: batch, batch] -> [client 9: batch]] -> [client 8: batch] -> ... the head's turn is next
 *   level 5.parties -> [client 8: batch]
 *
 * The highest level is next. A level counts as one higher after each QUEUE_AGING turns that others had since its own last
 * turn; of levels that count the same, the one that has waited longer is next. So no level starves: beside a level that is d
 * higher and never empty it has one of d * QUEUE_AGING + 1 turns. Turns are counted, and not time: tasks may take
 * microseconds or hours.
 */
#ifndef CORE_QUEUE_H
#define CORE_QUEUE_H

#include "daemon/core/records/call.h"

enum { QUEUE_AGING = 10 /* turns of others after which a level that waits counts as one higher */ };

/* The place of somebody who takes turns with others. */
struct turn {
	TAILQ_ENTRY(turn) link;
	bool had; /* it had its turn while no other waited: who comes now is next */
};

TAILQ_HEAD(turn_list, turn);

struct party {
	struct turn turn;       /* in level->parties, while `flows` is not empty */
	struct quota *quota;    /* the user's; NULL: it is the party of one flow, which has it in itself */
	struct turn_list flows; /* that have turns: the head's is next */
	uint32_t members;       /* how many flows there are, with those that are held */
};

struct flow {
	struct turn turn;            /* in party->flows, or in queue->held */
	TAILQ_ENTRY(flow) of_client; /* in client->flows */
	struct queue *queue;
	struct level *level;
	struct client *client;
	struct party *party;
	struct party own;            /* `party` of a client that is no user's */
	struct batch_list batches;   /* never empty */
	bool held;                   /* its client doesn't read, or the pool is paused: it has no turns */
};

/* What waits with the same priority. */
struct level {
	TAILQ_ENTRY(level) link;  /* in queue->levels, while there are flows; that of priority 0 always */
	int priority;
	uint64_t since;           /* *queue->turns when it last had its turn, or when it came to have flows with turns */
	bool had;                 /* `since` is of a turn */
	struct turn_list parties; /* the head's turn is next */
	struct idmap by_client;   /* flows */
	struct idmap by_quota;    /* parties of users */
};

struct queue {
	struct pool *pool;
	uint32_t *waiting;      /* pool->waiting */
	const bool *paused;     /* pool->paused: only calls from inside the pool have turns */
	const uint64_t *turns;  /* pool->turns, or slot->turns: how many batches were taken from queues */
	TAILQ_HEAD(, level) levels;
	struct level plain;     /* of priority 0 */
	struct turn_list held;  /* flows that have no turns */
	uint32_t flows;
	uint32_t count; /* batches */
	uint32_t maps;  /* how many of the batches are of maps */
};

void queue_init(struct queue *queue, struct pool *pool, uint32_t *waiting, const bool *paused, const uint64_t *turns);
void queue_free(struct queue *queue); /* it must be empty */

/* The flow of the client's batches of that priority. NULL: none waits. */
struct flow *queue_flow(const struct queue *queue, uint64_t client, int priority);

/* Does any batch of the client wait? */
bool queue_has(const struct queue *queue, uint64_t client);

/* Adds a batch at the end of the client's flow. queue_push_front adds a batch that was taken back at the front. 0 or -ENOMEM. */
int queue_push(struct queue *queue, struct batch *batch, struct client *client);
int queue_push_front(struct queue *queue, struct batch *batch, struct client *client);

/* Adds a batch directly before a batch that waits. */
void queue_put_before(struct batch *batch, struct batch *waiting);

/* Puts a batch that waits at the end of its client's flow in another queue. 0, or -ENOMEM: it is where it was. */
int queue_move(struct batch *batch, struct queue *to);

/* The batch whose turn it is, or NULL. It stays in the queue. */
struct batch *queue_next(struct queue *queue);

/* Of two queues that are not empty: is the next batch of `a` (1) or of `b` (-1) to go first? 0: both have the same priority,
 * or one has no batch that has a turn. */
int queue_compare(struct queue *a, struct queue *b);

/* The client's next batch, or NULL. */
struct batch *queue_next_of(const struct queue *queue, uint64_t client);

/* Do only items of one client's maps wait? */
bool queue_is_of_maps(const struct queue *queue);

/* Any batch, also of a flow that is held. NULL: the queue is empty. */
struct batch *queue_any(struct queue *queue);

/* The flow of the batch has had its turn, which was counted. */
void queue_turn(const struct batch *batch);

/* `by` tasks have been taken out of a batch that waits, and others are left. */
void queue_shortened(const struct batch *batch, uint32_t by);

void queue_remove(struct batch *batch);

/* The flow's client reads again. True: the flow was held, and takes turns again. */
bool flow_resume(struct flow *flow);

/* The pool is not paused any more: its flows take turns again. */
void queue_resume(struct queue *queue);

#endif
