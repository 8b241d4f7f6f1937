/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/input.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/records/queue.h"

#include <assert.h>
#include <errno.h>

#define WINDOW_WORK  (32 * MILLISECOND) /* of work for each slot in a window */
#define WINDOW_BYTES (4 << 20)
#define PORTION      (MILLISECOND) /* of work for each slot is queued at once */

void input_add(struct call *call, struct batch *batch)
{
	TAILQ_INSERT_TAIL(&call->input.items, batch, link);
	call->input.count += batch->count;
}

void input_drop(struct call *call)
{
	struct batch *batch;

	while ((batch = TAILQ_FIRST(&call->input.items))) {
		TAILQ_REMOVE(&call->input.items, batch, link);
		batch_free(batch);
	}
	call->input.count = 0;
	call->input.open = false;
}

/* A pool of size 0 will get a slot for the items (sizing_on_waiting). */
static uint32_t slots_of(const struct call *call)
{
	return call->pool->size > 0 ? call->pool->size : 1;
}

static uint64_t least_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* How many items fit into WINDOW_BYTES with their results, by the mean size so far. */
static uint64_t fitting(const struct call *call)
{
	const uint64_t in = call->total ? call->input.bytes / call->total : 0;
	const uint64_t out = call->stream.values ? call->stream.bytes / call->stream.values : 0;
	return WINDOW_BYTES / (in + out + 1);
}

/* The window of a stream that has named none. It keeps all slots at work while the client and the daemon wait for a CPU, and
 * has two items or chunks for each slot at least. */
static uint64_t usual_window(const struct call *call)
{
	const uint64_t least = 2 * (call->chunk ? call->chunk : 1), pace = method_pace(call->method, WINDOW_WORK);
	const uint64_t most = least_of(slots_of(call) * pace, fitting(call));
	return most > slots_of(call) * least ? most : slots_of(call) * least;
}

/* How many items may be accepted and unanswered. */
static uint64_t window_of(const struct call *call)
{
	return least_of(call->input.window ? call->input.window : usual_window(call), INPUT_WINDOW_MAX);
}

/* How many items for each slot are queued at once. */
static uint64_t portion_of(const struct call *call, uint64_t window)
{
	const struct pool *pool = call->pool;
	const uint64_t work = pool->core->now < pool->shared_until ? PORTION / 3 : PORTION;
	const uint64_t pace = call->chunk ? call->chunk : method_pace(call->method, work);
	const uint64_t portion = least_of(pace, window / (2 * slots_of(call)));
	return portion > 0 ? portion : 1;
}

/* Takes the next items, `count` at most, as a batch of their own. 0 or -ENOMEM. */
static int take(struct input *input, uint64_t count, struct batch **batch)
{
	struct batch *first = TAILQ_FIRST(&input->items);

	if (count < first->count && !(first = batch_cut(first, (uint32_t)count)))
		return -ENOMEM;
	if (first == TAILQ_FIRST(&input->items))
		TAILQ_REMOVE(&input->items, first, link);
	input->count -= first->count;
	*batch = first;
	return 0;
}

/* ---- a stream whose early results are too large ---- */

/* Puts the batch back in its place among the items, which is mostly in front of all others. */
void input_put_back(struct call *call, struct batch *batch)
{
	struct input *input = &call->input;
	struct batch *after = TAILQ_FIRST(&input->items);

	while (after && after->first < batch->first)
		after = TAILQ_NEXT(after, link);
	if (after)
		TAILQ_INSERT_BEFORE(after, batch, link);
	else
		TAILQ_INSERT_TAIL(&input->items, batch, link);
	input->count += batch->count;
	input->released -= batch->count;
}

/* Takes the batch out of the queue, but leaves the item whose turn it is. Without memory the whole batch stays. */
static void unqueue(struct call *call, struct batch *batch)
{
	if (batch->first == call->stream.sent) {
		struct batch *next = batch->count > 1 ? batch_cut(batch, 1) : NULL;
		if (!next)
			return;
		queue_put_before(next, batch);
	}
	queue_remove(batch);
	input_put_back(call, batch);
}

static void unqueue_all(struct call *call, const struct queue *queue)
{
	const struct flow *flow = queue_flow(queue, call->ticket.client->id, call->priority);
	struct batch *batch = flow ? TAILQ_LAST(&flow->batches, batch_list) : NULL, *before;

	for (; batch; batch = before) {
		before = TAILQ_PREV(batch, batch_list, link);
		if (batch->call == call)
			unqueue(call, batch);
	}
}

void input_unqueue(struct call *call)
{
	unqueue_all(call, &call->pool->later);
	unqueue_all(call, &call->pool->queue);
}

static void hold_or_go_on(struct call *call)
{
	const bool held = call->stream.early_bytes > call->core->limits.max_unsent;

	if (held && !call->input.held)
		input_unqueue(call);
	call->input.held = held;
}

/* ---- a stream: as much as the window allows ---- */

/* How many items may be queued now. It is not all that the window has room for: later calls of the same client wait behind
 * them. While other items run it is a portion at least, so that not each item becomes a message of its own. */
static uint64_t room_for(const struct call *call)
{
	const struct input *input = &call->input;
	const uint64_t window = window_of(call), most = call->stream.sent + window, portion = portion_of(call, window);
	/* The item whose turn it is may always go: it may have been taken back, and the window may be smaller than it was. */
	const uint64_t least = call->stream.ordered && TAILQ_FIRST(&input->items)->first == call->stream.sent ? 1 : 0;

	if (input->held || input->released + least >= most)
		return least;
	const uint64_t room = most - input->released;
	if (call->queued > 0 || (room < portion && room < input->count))
		return least;
	return least_of(room, portion * slots_of(call));
}

static int next_of_window(struct call *call, struct batch **batch)
{
	struct input *input = &call->input;
	uint64_t room;

	hold_or_go_on(call);
	if (input->count == 0 || (room = room_for(call)) == 0)
		return 0;
	if (take(input, room, batch) < 0)
		return -ENOMEM;
	input->released += (*batch)->count;
	return 0;
}

/* ---- rounds: one item per slot, the next round when all have a result ---- */

/* A round is short only at the end of the items, or when no more can come before it has run. */
static bool round_is_due(const struct call *call)
{
	const struct input *input = &call->input;

	if (input->round > 0 || input->count == 0)
		return false;
	return input->count >= slots_of(call) || !input->open || input->count >= window_of(call);
}

static void begin_round(struct call *call)
{
	struct input *input = &call->input;
	const uint32_t slots = slots_of(call);

	input->round_size = input->count < slots ? (uint32_t)input->count : slots;
	input->round_at = 0;
	input->round = input->round_size;
	input->released += input->round_size;
}

static int next_of_round(struct call *call, struct batch **batch)
{
	struct input *input = &call->input;

	if (input->round_at == input->round_size) {
		if (!round_is_due(call))
			return 0;
		begin_round(call);
	}
	if (take(input, 1, batch) < 0)
		return -ENOMEM;
	if (input->round_at < call->pool->size) {
		(*batch)->slot = call->pool->slots[input->round_at];
		(*batch)->addressed = true;
	}
	input->round_at++;
	return 0;
}

int input_next(struct call *call, struct batch **batch)
{
	*batch = NULL;
	return call->input.sync ? next_of_round(call, batch) : next_of_window(call, batch);
}

/* ---- credit ---- */

void input_grant(struct call *call)
{
	struct input *input = &call->input;
	const uint64_t answered = call->stream.on ? call->stream.sent : call->total - call->left;
	const uint64_t window = window_of(call), most = answered + window;

	/* Credit is given for many items at once: each time takes a message. */
	if (!input->open || call->answered || input->granted >= most || most - input->granted < window / 8)
		return;
	stream_credit(&call->ticket, most - input->granted);
	input->granted = most;
}
