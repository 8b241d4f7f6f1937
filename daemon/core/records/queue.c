/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void queue_init(struct queue *queue, struct pool *pool, uint32_t *waiting, const bool *paused)
{
	*queue = (struct queue){.pool = pool, .waiting = waiting, .paused = paused};
	TAILQ_INIT(&queue->parties);
	TAILQ_INIT(&queue->held);
}

void queue_free(struct queue *queue)
{
	assert(queue->count == 0);
	idmap_free(&queue->by_client);
	idmap_free(&queue->by_quota);
}

/* ---- turns ---- */

static void join(struct turn_list *turns, struct turn *turn)
{
	struct turn *first = TAILQ_FIRST(turns);

	turn->had = false;
	if (!first || !first->had) {
		TAILQ_INSERT_TAIL(turns, turn, link);
		return;
	}
	first->had = false;
	TAILQ_INSERT_BEFORE(first, turn, link);
}

static void pass(struct turn_list *turns, struct turn *turn)
{
	TAILQ_REMOVE(turns, turn, link);
	turn->had = TAILQ_EMPTY(turns);
	TAILQ_INSERT_TAIL(turns, turn, link);
}

static struct party *first_party(const struct queue *queue)
{
	struct turn *turn = TAILQ_FIRST(&queue->parties);
	return turn ? container_of(turn, struct party, turn) : NULL;
}

static struct flow *first_flow(const struct queue *queue)
{
	const struct party *party = first_party(queue);
	return party ? container_of(TAILQ_FIRST(&party->flows), struct flow, turn) : NULL;
}

static void lose_turns(struct flow *flow)
{
	struct party *party = flow->party;

	TAILQ_REMOVE(&party->flows, &flow->turn, link);
	if (TAILQ_EMPTY(&party->flows))
		TAILQ_REMOVE(&flow->queue->parties, &party->turn, link);
}

static void take_turns(struct flow *flow)
{
	struct party *party = flow->party;

	if (TAILQ_EMPTY(&party->flows))
		join(&flow->queue->parties, &party->turn);
	join(&party->flows, &flow->turn);
}

/* ---- parties and flows ---- */

static void party_init(struct party *party, struct quota *quota)
{
	*party = (struct party){.quota = quota_ref(quota)};
	TAILQ_INIT(&party->flows);
}

/* The party of that user. NULL: out of memory. */
static struct party *party_of(struct queue *queue, struct quota *quota)
{
	struct party *party = idmap_get(&queue->by_quota, quota->id);

	if (party)
		return party;
	party = malloc(sizeof *party);
	if (!party || idmap_add(&queue->by_quota, quota->id, party) < 0) {
		free(party);
		return NULL;
	}
	party_init(party, quota);
	return party;
}

static void party_free(struct queue *queue, struct party *party)
{
	idmap_remove(&queue->by_quota, party->quota->id);
	quota_unref(party->quota);
	free(party);
}

/* Makes the flow, which has no turns, one of that user's party. 0 or -ENOMEM. */
static int join_party(struct flow *flow, struct quota *quota)
{
	struct party *party = quota ? party_of(flow->queue, quota) : &flow->own;

	if (!party)
		return -ENOMEM;
	if (!quota)
		party_init(party, NULL);
	party->members++;
	flow->party = party;
	return 0;
}

static void leave_party(struct queue *queue, struct party *party)
{
	if (--party->members == 0 && party->quota)
		party_free(queue, party);
}

/* The flow's client has become another user. Without memory the flow stays where it is. */
static void change_party(struct flow *flow, struct quota *quota)
{
	struct party *before = flow->party;

	if (!flow->held)
		lose_turns(flow);
	if (join_party(flow, quota) == 0)
		leave_party(flow->queue, before);
	if (!flow->held)
		take_turns(flow);
}

static struct flow *flow_new(struct queue *queue, struct client *client, struct quota *quota)
{
	struct flow *flow = malloc(sizeof *flow);

	if (!flow)
		return NULL;
	*flow = (struct flow){.queue = queue, .client = client};
	TAILQ_INIT(&flow->batches);
	if (join_party(flow, quota) < 0) {
		free(flow);
		return NULL;
	}
	if (idmap_add(&queue->by_client, client->id, flow) < 0) {
		leave_party(queue, flow->party);
		free(flow);
		return NULL;
	}
	take_turns(flow);
	TAILQ_INSERT_TAIL(&client->flows, flow, of_client);
	return flow;
}

static struct flow *flow_of(struct queue *queue, struct client *client)
{
	struct flow *flow = idmap_get(&queue->by_client, client->id);
	struct quota *quota = client->rights ? client->rights->quota : NULL;

	if (!flow)
		return flow_new(queue, client, quota);
	if (flow->party->quota != quota)
		change_party(flow, quota);
	return flow;
}

/* ---- batches ---- */

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
	while ((flow = first_flow(queue))) {
		if (!must_wait(flow))
			return TAILQ_FIRST(&flow->batches);
		lose_turns(flow);
		TAILQ_INSERT_TAIL(&queue->held, &flow->turn, link);
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
	const struct flow *flow = first_flow(queue);
	if (!flow && !TAILQ_EMPTY(&queue->held))
		flow = container_of(TAILQ_FIRST(&queue->held), struct flow, turn);
	return flow ? TAILQ_FIRST(&flow->batches) : NULL;
}

void queue_turn(const struct batch *batch)
{
	struct flow *flow = batch->flow;

	if (flow->held)
		return;
	pass(&flow->party->flows, &flow->turn);
	pass(&flow->queue->parties, &flow->party->turn);
}

static void flow_end(struct flow *flow)
{
	if (flow->held)
		TAILQ_REMOVE(&flow->queue->held, &flow->turn, link);
	else
		lose_turns(flow);
	leave_party(flow->queue, flow->party);
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
	TAILQ_REMOVE(&flow->queue->held, &flow->turn, link);
	take_turns(flow);
	return true;
}

void queue_resume(struct queue *queue)
{
	while (!TAILQ_EMPTY(&queue->held))
		(void)flow_resume(container_of(TAILQ_FIRST(&queue->held), struct flow, turn));
}
