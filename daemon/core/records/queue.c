/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* ---- levels ---- */

static void level_init(struct queue *queue, struct level *level, int priority)
{
	*level = (struct level){.priority = priority};
	TAILQ_INIT(&level->parties);
	TAILQ_INSERT_TAIL(&queue->levels, level, link);
}

static struct level *find_level(const struct queue *queue, int priority)
{
	struct level *level;

	TAILQ_FOREACH(level, &queue->levels, link)
		if (level->priority == priority)
			return level;
	return NULL;
}

/* The level of that priority, which may be a new one. NULL: out of memory. */
static struct level *level_of(struct queue *queue, int priority)
{
	struct level *level = find_level(queue, priority); /* 0 is the first */

	if (!level && (level = malloc(sizeof *level)))
		level_init(queue, level, priority);
	return level;
}

/* Frees the level if it has no flows. That of priority 0 stays. */
static void leave_level(struct queue *queue, struct level *level)
{
	if (level->by_client.count > 0 || level == &queue->plain)
		return;
	TAILQ_REMOVE(&queue->levels, level, link);
	idmap_free(&level->by_client);
	idmap_free(&level->by_quota);
	free(level);
}

/* What the level counts as, in parts of a priority. */
static int64_t rank(const struct queue *queue, const struct level *level)
{
	return (int64_t)level->priority * QUEUE_AGING + (int64_t)(*queue->turns - level->since);
}

/* Which of two levels is next: 1, or -1: the other. Of two that count the same, the lower one has waited longer. */
static int compare(const struct queue *a, const struct level *of_a, const struct queue *b, const struct level *of_b)
{
	const int64_t more = rank(a, of_a) - rank(b, of_b);

	return more > 0 || (more == 0 && of_a->priority < of_b->priority) ? 1 : -1;
}

/* The level whose turn it is, also if its first flow must wait. NULL: no flow has turns. */
static struct level *first_level(const struct queue *queue)
{
	struct level *level, *first = NULL;

	TAILQ_FOREACH(level, &queue->levels, link)
		if (!TAILQ_EMPTY(&level->parties) && (!first || compare(queue, level, queue, first) > 0))
			first = level;
	return first;
}

void queue_init(struct queue *queue, struct pool *pool, uint32_t *waiting, const bool *paused, const uint64_t *turns)
{
	*queue = (struct queue){.pool = pool, .waiting = waiting, .paused = paused, .turns = turns};
	TAILQ_INIT(&queue->levels);
	TAILQ_INIT(&queue->held);
	level_init(queue, &queue->plain, 0);
}

void queue_free(struct queue *queue)
{
	assert(queue->count == 0);
	idmap_free(&queue->plain.by_client);
	idmap_free(&queue->plain.by_quota);
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

static struct flow *first_flow(const struct queue *queue)
{
	const struct level *level = first_level(queue);

	if (!level)
		return NULL;
	const struct party *party = container_of(TAILQ_FIRST(&level->parties), struct party, turn);
	return container_of(TAILQ_FIRST(&party->flows), struct flow, turn);
}

static void lose_turns(struct flow *flow)
{
	struct party *party = flow->party;

	TAILQ_REMOVE(&party->flows, &flow->turn, link);
	if (TAILQ_EMPTY(&party->flows))
		TAILQ_REMOVE(&flow->level->parties, &party->turn, link);
}

static void take_turns(struct flow *flow)
{
	struct party *party = flow->party;

	if (TAILQ_EMPTY(&party->flows))
		join(&flow->level->parties, &party->turn);
	join(&party->flows, &flow->turn);
}

/* The flow is new, or was held. */
static void begin_turns(struct flow *flow)
{
	if (TAILQ_EMPTY(&flow->level->parties)) {
		flow->level->since = *flow->queue->turns;
		flow->level->had = false;
	}
	take_turns(flow);
}

/* ---- parties and flows ---- */

static void party_init(struct party *party, struct quota *quota)
{
	*party = (struct party){.quota = quota_ref(quota)};
	TAILQ_INIT(&party->flows);
}

/* The party of that user. NULL: out of memory. */
static struct party *party_of(struct level *level, struct quota *quota)
{
	struct party *party = idmap_get(&level->by_quota, quota->id);

	if (party)
		return party;
	party = malloc(sizeof *party);
	if (!party || idmap_add(&level->by_quota, quota->id, party) < 0) {
		free(party);
		return NULL;
	}
	party_init(party, quota);
	return party;
}

static void party_free(struct level *level, struct party *party)
{
	idmap_remove(&level->by_quota, party->quota->id);
	quota_unref(party->quota);
	free(party);
}

/* Makes the flow, which has no turns, one of that user's party. 0 or -ENOMEM. */
static int join_party(struct flow *flow, struct quota *quota)
{
	struct party *party = quota ? party_of(flow->level, quota) : &flow->own;

	if (!party)
		return -ENOMEM;
	if (!quota)
		party_init(party, NULL);
	party->members++;
	flow->party = party;
	return 0;
}

static void leave_party(struct level *level, struct party *party)
{
	if (--party->members == 0 && party->quota)
		party_free(level, party);
}

/* The flow's client has become another user. Without memory the flow stays where it is. */
static void change_party(struct flow *flow, struct quota *quota)
{
	struct party *before = flow->party;

	if (!flow->held)
		lose_turns(flow);
	if (join_party(flow, quota) == 0)
		leave_party(flow->level, before);
	if (!flow->held)
		take_turns(flow);
}

static struct flow *flow_new(struct queue *queue, struct level *level, struct client *client, struct quota *quota)
{
	struct flow *flow = malloc(sizeof *flow);

	if (!flow)
		return NULL;
	*flow = (struct flow){.queue = queue, .level = level, .client = client};
	TAILQ_INIT(&flow->batches);
	if (join_party(flow, quota) < 0) {
		free(flow);
		return NULL;
	}
	if (idmap_add(&level->by_client, client->id, flow) < 0) {
		leave_party(level, flow->party);
		free(flow);
		return NULL;
	}
	begin_turns(flow);
	TAILQ_INSERT_TAIL(&client->flows, flow, of_client);
	queue->flows++;
	return flow;
}

/* The flow for a batch of that priority, which may be a new one. NULL: out of memory. */
static struct flow *flow_of(struct queue *queue, struct client *client, int priority)
{
	struct level *level = level_of(queue, priority);
	struct flow *flow = level ? idmap_get(&level->by_client, client->id) : NULL;
	struct quota *quota = client->rights ? client->rights->quota : NULL;

	if (!level)
		return NULL;
	if (!flow) {
		flow = flow_new(queue, level, client, quota);
		leave_level(queue, level);
	} else if (flow->party->quota != quota) {
		change_party(flow, quota);
	}
	return flow;
}

struct flow *queue_flow(const struct queue *queue, uint64_t client, int priority)
{
	const struct level *level = find_level(queue, priority);
	return level ? idmap_get(&level->by_client, client) : NULL;
}

bool queue_has(const struct queue *queue, uint64_t client)
{
	const struct level *level;

	TAILQ_FOREACH(level, &queue->levels, link)
		if (idmap_get(&level->by_client, client))
			return true;
	return false;
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
	struct flow *flow = flow_of(queue, client, batch->call->priority);
	if (!flow)
		return -ENOMEM;
	TAILQ_INSERT_TAIL(&flow->batches, batch, link);
	note(flow, batch);
	return 0;
}

int queue_push_front(struct queue *queue, struct batch *batch, struct client *client)
{
	struct flow *flow = flow_of(queue, client, batch->call->priority);
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

int queue_compare(struct queue *a, struct queue *b)
{
	const struct level *of_a = queue_next(a) ? first_level(a) : NULL, *of_b = queue_next(b) ? first_level(b) : NULL;

	return of_a && of_b && of_a->priority != of_b->priority ? compare(a, of_a, b, of_b) : 0;
}

struct batch *queue_next_of(const struct queue *queue, uint64_t client)
{
	const struct level *level, *first = NULL;
	const struct flow *flow, *next = NULL;

	TAILQ_FOREACH(level, &queue->levels, link) {
		flow = idmap_get(&level->by_client, client);
		if (!flow || must_wait(flow) || (first && compare(queue, level, queue, first) < 0))
			continue;
		first = level;
		next = flow;
	}
	return next ? TAILQ_FIRST(&next->batches) : NULL;
}

bool queue_is_of_maps(const struct queue *queue)
{
	return queue->maps == queue->count && queue->flows <= 1;
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
	flow->level->since = *flow->queue->turns;
	flow->level->had = true;
	pass(&flow->party->flows, &flow->turn);
	pass(&flow->level->parties, &flow->party->turn);
}

static void flow_end(struct flow *flow)
{
	if (flow->held)
		TAILQ_REMOVE(&flow->queue->held, &flow->turn, link);
	else
		lose_turns(flow);
	leave_party(flow->level, flow->party);
	TAILQ_REMOVE(&flow->client->flows, flow, of_client);
	idmap_remove(&flow->level->by_client, flow->client->id);
	flow->queue->flows--;
	leave_level(flow->queue, flow->level);
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
	struct flow *flow = flow_of(to, batch->flow->client, batch->call->priority);
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
	begin_turns(flow);
	return true;
}

void queue_resume(struct queue *queue)
{
	while (!TAILQ_EMPTY(&queue->held))
		(void)flow_resume(container_of(TAILQ_FIRST(&queue->held), struct flow, turn));
}
