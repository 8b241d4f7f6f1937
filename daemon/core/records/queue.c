/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void queue_init(struct queue *queue, struct pool *pool, uint32_t *waiting, const bool *paused)
{
	*queue = (struct queue){.pool = pool, .waiting = waiting, .paused = paused};
	TAILQ_INIT(&queue->flows);
	TAILQ_INIT(&queue->held);
}

void queue_free(struct queue *queue)
{
	assert(queue->count == 0);
	idmap_free(&queue->by_client);
}

static void join_turns(struct queue *queue, struct flow *flow)
{
	struct flow *first = TAILQ_FIRST(&queue->flows);

	if (!first || !first->had_turn) {
		TAILQ_INSERT_TAIL(&queue->flows, flow, turn);
		return;
	}
	first->had_turn = false;
	TAILQ_INSERT_BEFORE(first, flow, turn);
}

static struct flow *flow_of(struct queue *queue, struct client *client)
{
	struct flow *flow = idmap_get(&queue->by_client, client->id);
	if (flow)
		return flow;
	flow = malloc(sizeof *flow);
	if (!flow || idmap_add(&queue->by_client, client->id, flow) < 0) {
		free(flow);
		return NULL;
	}
	*flow = (struct flow){.queue = queue, .client = client};
	TAILQ_INIT(&flow->batches);
	join_turns(queue, flow);
	TAILQ_INSERT_TAIL(&client->flows, flow, of_client);
	return flow;
}

/* How many calls wait in the batch, as max_queue counts them. */
static uint32_t calls_in(const struct batch *batch)
{
	return batch->call->train ? batch->count : 1;
}

static void note(struct flow *flow, struct batch *batch)
{
	batch->flow = flow;
	flow->queue->count++;
	flow->queue->maps += batch->call->select == SELECT_MAP;
	batch->call->queued++;
	*flow->queue->waiting += calls_in(batch);
}

void queue_shortened(const struct batch *batch, uint32_t by)
{
	if (batch->call->train)
		*batch->flow->queue->waiting -= by;
}

int queue_push(struct queue *queue, struct batch *batch, struct client *client)
{
	struct flow *flow = flow_of(queue, client);
	if (!flow)
		return -ENOMEM;
	TAILQ_INSERT_TAIL(&flow->batches, batch, link);
	note(flow, batch);
	return 0;
}

int queue_push_front(struct queue *queue, struct batch *batch, struct client *client)
{
	struct flow *flow = flow_of(queue, client);
	if (!flow)
		return -ENOMEM;
	TAILQ_INSERT_HEAD(&flow->batches, batch, link);
	note(flow, batch);
	return 0;
}

void queue_put_before(struct batch *batch, struct batch *waiting)
{
	TAILQ_INSERT_BEFORE(waiting, batch, link);
	note(waiting->flow, batch);
}

/* Has the flow no turns? What waits in the flow of an instance is of one call, so its first batch tells where that comes from. */
static bool must_wait(const struct flow *flow)
{
	return flow->client->stalled || (*flow->queue->paused && !TAILQ_FIRST(&flow->batches)->call->inside);
}

struct batch *queue_next(struct queue *queue)
{
	struct flow *flow;
	while ((flow = TAILQ_FIRST(&queue->flows))) {
		if (!must_wait(flow))
			return TAILQ_FIRST(&flow->batches);
		TAILQ_REMOVE(&queue->flows, flow, turn);
		TAILQ_INSERT_TAIL(&queue->held, flow, turn);
		flow->held = true;
	}
	return NULL;
}

struct batch *queue_next_of(const struct queue *queue, uint64_t client)
{
	const struct flow *flow = idmap_get(&queue->by_client, client);
	return flow && !must_wait(flow) ? TAILQ_FIRST(&flow->batches) : NULL;
}

bool queue_is_of_maps(const struct queue *queue)
{
	return queue->maps == queue->count && queue->by_client.count <= 1;
}

struct batch *queue_any(struct queue *queue)
{
	struct flow *flow = TAILQ_FIRST(&queue->flows);
	if (!flow)
		flow = TAILQ_FIRST(&queue->held);
	return flow ? TAILQ_FIRST(&flow->batches) : NULL;
}

void queue_turn(struct queue *queue)
{
	struct flow *flow = TAILQ_FIRST(&queue->flows);
	if (!flow)
		return;
	if (!TAILQ_NEXT(flow, turn)) {
		flow->had_turn = true;
		return;
	}
	TAILQ_REMOVE(&queue->flows, flow, turn);
	TAILQ_INSERT_TAIL(&queue->flows, flow, turn);
}

static void flow_end(struct flow *flow)
{
	TAILQ_REMOVE(flow->held ? &flow->queue->held : &flow->queue->flows, flow, turn);
	TAILQ_REMOVE(&flow->client->flows, flow, of_client);
	idmap_remove(&flow->queue->by_client, flow->client->id);
	free(flow);
}

void queue_remove(struct batch *batch)
{
	struct flow *flow = batch->flow;

	TAILQ_REMOVE(&flow->batches, batch, link);
	batch->flow = NULL;
	flow->queue->count--;
	flow->queue->maps -= batch->call->select == SELECT_MAP;
	batch->call->queued--;
	*flow->queue->waiting -= calls_in(batch);
	if (TAILQ_EMPTY(&flow->batches))
		flow_end(flow);
}

int queue_move(struct batch *batch, struct queue *to)
{
	struct flow *flow = flow_of(to, batch->flow->client);
	if (!flow)
		return -ENOMEM;
	queue_remove(batch);
	TAILQ_INSERT_TAIL(&flow->batches, batch, link);
	note(flow, batch);
	return 0;
}

bool flow_resume(struct flow *flow)
{
	if (!flow->held)
		return false;
	flow->held = false;
	TAILQ_REMOVE(&flow->queue->held, flow, turn);
	TAILQ_INSERT_TAIL(&flow->queue->flows, flow, turn);
	return true;
}

void queue_resume(struct queue *queue)
{
	while (!TAILQ_EMPTY(&queue->held))
		(void)flow_resume(TAILQ_FIRST(&queue->held));
}
