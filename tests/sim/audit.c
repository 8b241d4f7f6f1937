/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/audit.h"

#include "daemon/core/calls/call_life.h"
#include "daemon/core/calls/failing.h"
#include "daemon/core/calls/lease.h"
#include "daemon/core/calls/nested.h"
#include "daemon/core/calls/passengers.h"
#include "daemon/core/records/slot.h"
#include "daemon/core/dispatch/sticky.h"
#include "tests/sim/attach.h"
#include "tests/sim/audit_turns.h"
#include "tests/sim/audit_users.h"
#include "tests/sim/fake.h"
#include "tests/sim/player.h"

/* What is counted in a pool, to be compared with what it says. */
struct count {
	bool thorough;
	uint32_t waiting, broken;
	uint64_t batches; /* queued, handed, deferred, or in a call's input */
};

/* ---- queues ---- */

static void audit_flow(const struct world *world, const struct flow *flow, bool held, struct count *count, uint32_t *n)
{
	const struct batch *batch;

	HOLDS(world, !TAILQ_EMPTY(&flow->batches), "a flow without batches");
	HOLDS(world, flow->held == held, "a flow that is in the wrong list");
	HOLDS(world, !held || flow->client->stalled || *flow->queue->paused, "a flow is held, and its client reads");
	HOLDS(world, queue_flow(flow->queue, flow->client->id, flow->level->priority) == flow, "a flow that is not found");
	TAILQ_FOREACH(batch, &flow->batches, link) {
		HOLDS(world, batch->flow == flow, "a batch in a flow that it does not know");
		HOLDS(world, batch->call->priority == flow->level->priority, "a batch on a level of another priority");
		HOLDS(world, !batch->call->answered || batch->call->sticky, "what waits is of a call that is over");
		++*n;
		count->waiting += batch->call->train ? batch->count : 1;
	}
}

/* Returns how many of its flows have turns. */
static uint32_t audit_party(const struct world *world, const struct level *level, const struct party *party, struct count *count,
			    uint32_t *n)
{
	const struct turn *turn;
	uint32_t flows = 0;

	HOLDS(world, !TAILQ_EMPTY(&party->flows), "a party has turns, and none of its flows has");
	HOLDS(world, !party->quota || idmap_get(&level->by_quota, party->quota->id) == party, "a party that is not found");
	TAILQ_FOREACH(turn, &party->flows, link) {
		const struct flow *flow = container_of(turn, const struct flow, turn);
		HOLDS(world, flow->party == party && flow->level == level, "a flow in a party that it does not know");
		audit_flow(world, flow, false, count, n);
		flows++;
	}
	HOLDS(world, flows <= party->members && (party->quota || party->members == 1), "a party that can't count");
	return flows;
}

/* Returns how many of its flows have turns. */
static uint32_t audit_level(const struct world *world, const struct queue *queue, const struct level *level, struct count *count,
			    uint32_t *n)
{
	const struct turn *turn;
	uint32_t flows = 0;

	HOLDS(world, level == &queue->plain ? level->priority == 0 : level->priority != 0 && level->by_client.count > 0,
	      "a level for nothing");
	HOLDS(world, level->since <= *queue->turns, "a level had a turn that will come");
	TAILQ_FOREACH(turn, &level->parties, link)
		flows += audit_party(world, level, container_of(turn, const struct party, turn), count, n);
	HOLDS(world, flows <= level->by_client.count, "a level with flows that are not found");
	return flows;
}

static void audit_queue(const struct world *world, const struct queue *queue, struct count *count)
{
	const struct level *level;
	const struct turn *turn;
	uint32_t n = 0, flows = 0, found = 0;

	count->batches += queue->count;
	if (!count->thorough)
		return;
	TAILQ_FOREACH(level, &queue->levels, link) {
		flows += audit_level(world, queue, level, count, &n);
		found += level->by_client.count;
	}
	TAILQ_FOREACH(turn, &queue->held, link) {
		audit_flow(world, container_of(turn, const struct flow, turn), true, count, &n);
		flows++;
	}
	HOLDS(world, n == queue->count, "a queue of %u says that it has %u", n, queue->count);
	HOLDS(world, flows == queue->flows && flows == found, "a queue with flows that are not found");
}

/* ---- slots ---- */

/* Was the batch to be taken back, as its client does not read? */
static bool should_wait(const struct slot *slot, const struct batch *batch)
{
	const struct client *client = pool_flow_client(slot->pool, batch->call);

	return client && client->recalled && !batch->addressed && slot->state == SLOT_READY && !slot->killed &&
	       board_state(slot->board, batch->id) == BOARD_HANDED;
}

static void audit_handed(const struct world *world, const struct slot *slot, struct count *count)
{
	const struct batch *batch;
	uint64_t ahead = 0;
	uint32_t n = 0;

	TAILQ_FOREACH(batch, &slot->handed, link) {
		HOLDS(world, batch->slot == slot && !batch->flow && !batch->tag,
		      "a batch in hand that thinks that it is elsewhere");
		HOLDS(world, slot->by_id[batch->id % BOARD_ENTRIES] == batch, "a batch in hand that is not found");
		HOLDS(world, batch->done < batch->count, "a batch in hand that is done");
		HOLDS(world, !slot->leased || slot->leased->state != LEASE_HELD || batch->call->session == slot->leased->session,
		      "a leased slot has a call of others");
		HOLDS(world, !should_wait(slot, batch), "a worker has tasks in hand for a client that does not read");
		ahead += batch->estimate;
		n++;
	}
	HOLDS(world, n == slot->handed_count, "%u batches in hand, and %u are counted", n, slot->handed_count);
	HOLDS(world, ahead == slot->ahead, "%llu ns in hand, and %llu are counted", (unsigned long long)ahead,
	      (unsigned long long)slot->ahead);
	count->batches += n;
}

static void audit_deferred(const struct world *world, const struct slot *slot, struct count *count)
{
	const struct batch *batch;
	uint32_t n = 0;

	TAILQ_FOREACH(batch, &slot->deferred, link) {
		HOLDS(world, batch->slot == slot && batch->tag && !batch->flow,
		      "a deferred batch that thinks that it is elsewhere");
		HOLDS(world, idmap_get(&slot->by_tag, batch->tag) == batch, "a deferred batch that is not found");
		const struct train *train = batch->call->train;
		HOLDS(world,
		      !train || train->passengers[batch->first].ticket.client ||
			      ledger_is(slot->board, batch->tag, LEDGER_ANSWERED),
		      "a call of a train stays deferred, and nobody waits for it");
		n++;
	}
	HOLDS(world, n == slot->by_tag.count, "tags of nothing");
	count->batches += n;
}

static bool may_have_any(const struct slot *slot)
{
	return slot->state == SLOT_READY && slot->plan == PLAN_STAY && !slot->killed && !slot->silent && !slot->predecessor &&
	       !slot->leased && !replay_is_due(&slot->replay) && slot_calls_left(slot) > 0;
}

static void audit_lists(const struct world *world, const struct slot *slot)
{
	const struct pool *pool = slot->pool;

	HOLDS(world, !slot->listed || !slot->cut_off, "a slot without a place is listed");
	if (slot->listed == &pool->idle)
		HOLDS(world, may_have_any(slot) && slot->handed_count == 0 && !slot->refuses,
		      "a slot is listed as idle that is not");
	else if (slot->listed == &pool->refusing)
		HOLDS(world, may_have_any(slot) && slot->handed_count == 0 && slot->refuses,
		      "a slot is listed as refusing that is not");
	else if (slot->listed)
		HOLDS(world,
		      (slot->listed == &pool->open || slot->listed == &pool->laden) && may_have_any(slot) &&
			      (slot->handed_count > 0 || slot->at_work > 0) && !slot->refuses,
		      "a slot is listed as open, or laden, that is not");
	else if (!slot->cut_off)
		HOLDS(world, !may_have_any(slot) || slot->handed_count > 0, "%s:%u: an idle slot is not listed", pool->name,
		      slot->index);
}

static void audit_lease_of(const struct world *world, const struct slot *slot)
{
	const struct lease *lease = slot->leased;

	if (!lease)
		return;
	HOLDS(world, lease->slot == slot && (lease->state == LEASE_ASKING || lease->state == LEASE_HELD),
	      "a slot's lease knows nothing of it");
	HOLDS(world, slot->state == SLOT_READY, "a lease of what is not ready");
}

/* Will the call be answered, whatever its caller does? Its method has committed itself, or has answered what it had put off. */
static bool is_too_late(const struct call *call)
{
	const struct batch *only = &call->only;

	if (only->tag)
		return ledger_is(only->slot->board, only->tag, LEDGER_ANSWERED);
	return slot_has_in_hand(only) && board_state(only->slot->board, only->id) == BOARD_COMMITTED;
}

/* A method whose caller has gone waits for no other call, but for one whose answer is certain. */
static void audit_waits_in_vain(const struct world *world, const struct slot *slot)
{
	const struct batch *batch = slot->nested.on ? slot->by_id[slot->nested.batch % BOARD_ENTRIES] : NULL;
	struct ticket *ticket = slot->nested.on ? TAILQ_FIRST(&slot->nested.client.tickets) : NULL;

	if (!ticket || !batch || batch->call->sticky || call_gathers(batch->call))
		return;
	const uint32_t begun = board_begun(slot->board, batch->id);
	const struct train *train = batch->call->train;
	const bool wanted = train && begun == batch->count ? train->passengers[batch->first + begun - 1].ticket.client != NULL
							   : !batch->call->answered;
	if (wanted)
		return;
	const struct call *awaited = call_of_ticket(ticket);
	HOLDS(world, awaited && is_too_late(awaited), "%s:%u: a method that nobody waits for waits for another call",
	      slot->pool->name, slot->index);
}

static void audit_life(const struct world *world, const struct slot *slot)
{
	const bool lives = slot->state == SLOT_READY || slot->state == SLOT_STOPPING;

	HOLDS(world, lives || slot->handed_count == 0, "something is in hand of what is not there");
	HOLDS(world, lives || !slot->nested.on, "what is not there asks");
	HOLDS(world, (slot->state == SLOT_WAITING) == !fake_of(slot), "a slot that %s",
	      fake_of(slot) ? "waits has a worker" : "has no worker waits for none");
	HOLDS(world, slot->state != SLOT_WAITING || timer_is_set(&slot->timer), "a slot that waits for ever to be started");
	HOLDS(world, !slot->refuses || timer_is_set(&slot->trial), "a slot that refuses, and is never tried again");
	HOLDS(world, !slot->successor || slot->successor->predecessor == slot, "a successor that does not know it");
	HOLDS(world, !slot->predecessor || slot->predecessor->successor == slot, "a predecessor that does not know it");
}

static void audit_ids(const struct world *world, const struct slot *slot)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < BOARD_ENTRIES; i++)
		n += slot->by_id[i] != NULL;
	HOLDS(world, n == slot->handed_count, "ids of nothing");
}

static void audit_slot(const struct world *world, const struct slot *slot, struct count *count)
{
	audit_queue(world, &slot->queue, count);
	audit_handed(world, slot, count);
	audit_deferred(world, slot, count);
	audit_lists(world, slot);
	audit_lease_of(world, slot);
	attach_audit_slot(world, slot);
	audit_waits_in_vain(world, slot);
	audit_life(world, slot);
	if (count->thorough)
		audit_ids(world, slot);
	count->broken += slot->broken && !slot->cut_off;
}

/* ---- pools ---- */

static void audit_list(const struct world *world, const struct slot_list *list)
{
	const struct slot *slot;

	TAILQ_FOREACH(slot, list, link)
		HOLDS(world, slot->listed == list, "a slot in a list that it does not know");
}

static void audit_leases(const struct world *world, const struct pool *pool)
{
	const struct lease *lease;
	struct error error;
	uint32_t waiting = 0;

	TAILQ_FOREACH(lease, &pool->leases, of_pool) {
		const bool has_slot = lease->state == LEASE_ASKING || lease->state == LEASE_HELD;
		HOLDS(world, has_slot == (lease->slot != NULL) && lease->pool == pool, "a lease in the wrong state");
		HOLDS(world, !lease->slot || lease->slot->leased == lease, "a lease of a slot that is another's");
		HOLDS(world, (lease->state <= LEASE_ASKING) == (lease->ticket.client != NULL), "a lease that nobody is told of");
		HOLDS(world, lease->state != LEASE_WAITING || lease_check_place(pool, lease->wanted, &error) == 0,
		      "a lease waits for what can't be built");
		HOLDS(world,
		      !world->core.draining || lease->state == LEASE_LOST || timer_is_set(&pool->wake) ||
			      (lease->slot && lease->slot->handed_count + lease->slot->queue.count > 0),
		      "a lease that nobody needs while the daemon drains");
		waiting += lease->state <= LEASE_ASKING;
	}
	HOLDS(world, waiting == pool->leases_waiting, "%u leases are waited for, and %u are counted", waiting,
	      pool->leases_waiting);
}

/* As many passengers wait as have no answer, and their requests are what is pending. */
static void audit_train(const struct world *world, const struct call *call)
{
	uint64_t waiting = 0, size = 0;

	for (uint32_t i = 0; i < call->train->count; i++) {
		const struct passenger *passenger = &call->train->passengers[i];
		waiting += passenger->ticket.client != NULL;
		size += passenger->ticket.client ? passenger->size : 0;
	}
	HOLDS(world, call->total == call->train->count && call->left == waiting && call->size == size,
	      "a train that counts wrong");
	HOLDS(world, call->answered == (waiting == 0), "a train that is over, or should be");
}

static void audit_calls(const struct world *world, const struct pool *pool, const struct count *count)
{
	const struct call *call;
	const struct batch *batch;
	uint64_t calls = 0, batches = 0, waiting = 0;

	TAILQ_FOREACH(call, &pool->calls, link) {
		HOLDS(world, call->pool == pool && call->left <= call->total, "a call with more tasks left than it has");
		HOLDS(world, !call->answered || !call->ticket.client, "a call is over, and its caller waits");
		HOLDS(world, call->batches > 0 || call->input.open, "a call that has nothing to wait for");
		const bool limited = call->rights && call->rights->quota;
		HOLDS(world,
		      call->priority >= CALL_PRIORITY_MIN && call->priority <= CALL_PRIORITY_MAX &&
			      (!call->sticky || call->priority == CALL_PRIORITY_STICKY),
		      "a call with a priority that it can't have");
		HOLDS(world, call->lingers == (limited && call->answered && call->batches > 0),
		      "a call that is over counts, or it should");
		TAILQ_FOREACH(batch, &call->input.items, link)
			waiting++;
		calls++;
		batches += call->batches;
		if (call->train)
			audit_train(world, call);
	}
	HOLDS(world, calls == pool->calls_count, "%llu calls, and %u are counted", (unsigned long long)calls, pool->calls_count);
	HOLDS(world, batches == count->batches + waiting, "%llu batches, and the calls count %llu",
	      (unsigned long long)(count->batches + waiting), (unsigned long long)batches);
}

static void audit_losses(const struct world *world, const struct pool *pool, struct count *count)
{
	const struct failing *failing;
	const struct batch *batch;

	HOLDS(world, TAILQ_EMPTY(&pool->failing) || timer_is_set(&pool->tell), "nobody tells of what was lost");
	TAILQ_FOREACH(failing, &pool->failing, link) {
		HOLDS(world, !TAILQ_EMPTY(&failing->batches), "nothing was lost");
		TAILQ_FOREACH(batch, &failing->batches, link) {
			HOLDS(world, !batch->slot && !batch->flow && !batch->tag, "what was lost thinks that it is somewhere");
			count->batches++;
		}
	}
}

static void audit_pool(const struct world *world, const struct pool *pool, bool thorough)
{
	struct count count = {.thorough = thorough};
	const struct slot *slot;

	audit_queue(world, &pool->queue, &count);
	audit_queue(world, &pool->later, &count);
	for (uint32_t i = 0; i < pool->size; i++) {
		HOLDS(world, pool->slots[i]->index == i && !pool->slots[i]->cut_off, "a slot in another's place");
		audit_slot(world, pool->slots[i], &count);
	}
	TAILQ_FOREACH(slot, &pool->detached, link) {
		HOLDS(world, slot->cut_off, "a slot in two places");
		audit_slot(world, slot, &count);
	}
	audit_list(world, &pool->idle);
	audit_list(world, &pool->open);
	audit_list(world, &pool->laden);
	audit_list(world, &pool->refusing);
	audit_leases(world, pool);
	const bool grows = timer_is_set(&pool->wake) || (pool_shared_count(pool) > 0 && timer_is_set(&pool->sizing.grow));
	HOLDS(world, pool->size > 0 || (pool_shared_count(pool) == 0 && pool->leases_waiting == 0) || grows,
	      "something waits in a pool that has no slots");
	audit_losses(world, pool, &count);
	audit_calls(world, pool, &count);
	HOLDS(world, !thorough || count.waiting == pool->waiting, "%u batches wait, and %u are counted", count.waiting,
	      pool->waiting);
	HOLDS(world, count.broken == pool->broken, "%u slots are broken, and %u are counted", count.broken, pool->broken);
}

/* Tasks in the instances' hands, and put off there, but for those that methods of the pool wait for. */
static uint64_t count_in_hand(const struct pool *pool)
{
	const struct batch *batch;
	const struct slot *slot;
	uint64_t n = 0;

	SLOT_FOREACH(slot, pool) {
		TAILQ_FOREACH(batch, &slot->handed, link)
			n += batch->call->inside ? 0 : batch->count - batch->done;
		TAILQ_FOREACH(batch, &slot->deferred, link)
			n += !batch->call->inside;
	}
	return n;
}

/* While a pool is paused, it gets nothing. */
static void audit_paused(struct world *world, unsigned number)
{
	const struct pool *pool = world->pools[number];
	const uint64_t n = pool && pool->paused ? count_in_hand(pool) : UINT64_MAX;

	HOLDS(world, n == UINT64_MAX || n <= world->in_hand[number], "pool %s is paused, and has got something", pool->name);
	world->in_hand[number] = n;
}

/* ---- clients ---- */

static void audit_kept(const struct world *world, const struct client *client)
{
	const struct sendq_kept *kept = &client->kept;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < kept->count; i++)
		bytes += kept->blocks[i] ? kept->blocks[i]->capacity : 0;
	HOLDS(world, bytes == kept->bytes, "a client keeps %llu bytes, and %zu are counted", (unsigned long long)bytes,
	      kept->bytes);
	HOLDS(world, kept->count + client->out.descriptors <= CLIENT_KEPT, "a client has more descriptors than it may");
}

static void audit_client(const struct world *world, const struct client *client)
{
	const struct ticket *ticket;
	const struct lease *lease;
	uint64_t pending = 0;
	uint32_t inflight = 0, notified = 0;

	TAILQ_FOREACH(ticket, &client->tickets, link) {
		const struct call *call = call_of_ticket((struct ticket *)(uintptr_t)ticket);
		HOLDS(world, ticket->client == client, "a ticket of another client");
		const struct passenger *passenger = passenger_of(ticket);
		pending += passenger ? passenger->size : call ? call->size : 0;
		inflight += !ticket->notification;
		HOLDS(world, ticket->notification || idmap_get(&client->inflight, ticket->msgid) == ticket,
		      "a ticket that is not found");
	}
	HOLDS(world, inflight == client->inflight.count, "%u tickets, and %u are counted", inflight, client->inflight.count);
	HOLDS(world, client->stalled || TAILQ_EMPTY(&client->yielding), "a method waits for a client that reads");
	audit_kept(world, client);
	TAILQ_FOREACH(ticket, &client->notifications, link) {
		const struct call *call = call_of_ticket((struct ticket *)(uintptr_t)ticket);
		HOLDS(world, ticket->client == client && ticket->notification, "a notification of another client");
		pending += call ? call->size : 0;
		notified++;
	}
	HOLDS(world, notified == client->notified, "%u notifications, and %u are counted", notified, client->notified);
	HOLDS(world, pending == client->pending, "%llu bytes are pending, and %llu are counted", (unsigned long long)pending,
	      (unsigned long long)client->pending);
	TAILQ_FOREACH(lease, &client->leases, of_client)
		HOLDS(world, lease->client == client, "a lease of another client");
	attach_audit_client(world, client);
}

static void audit_nested(const struct world *world, const struct pool *pool)
{
	const struct slot *slot;

	SLOT_FOREACH(slot, pool)
		if (slot->nested.on)
			audit_client(world, &slot->nested.client);
}

void audit(struct world *world, bool thorough)
{
	const struct pool *pool;

	audit_users(world, false);
	audit_turns(world);
	for (unsigned i = 0; i < WORLD_POOLS; i++)
		audit_paused(world, i);
	TAILQ_FOREACH(pool, &world->core.pools, link) {
		audit_pool(world, pool, thorough);
		if (thorough)
			audit_nested(world, pool);
	}
	for (int i = 0; i < WORLD_CLIENTS && thorough; i++)
		if (world->players[i])
			audit_client(world, player_client(world->players[i]));
}

/* ---- at rest ---- */

static void audit_rest(const struct world *world, const struct slot *slot)
{
	HOLDS(world, slot->handed_count == 0 && slot->queue.count == 0, "%s:%u: something is left in its hands", slot->pool->name,
	      slot->index);
	HOLDS(world, TAILQ_EMPTY(&slot->deferred), "%s:%u: something stays deferred", slot->pool->name, slot->index);
	HOLDS(world, slot->ahead == 0, "%s:%u: nothing in hand, and %llu ns are counted", slot->pool->name, slot->index,
	      (unsigned long long)slot->ahead);
	HOLDS(world, !slot->leased, "%s:%u: still leased", slot->pool->name, slot->index);
	HOLDS(world, slot->bound.count == 0 || slot->state != SLOT_READY, "%s:%u: still bound", slot->pool->name, slot->index);
}

void audit_quiet(struct world *world)
{
	const struct pool *pool;

	audit(world, true);
	audit_users(world, true);
	TAILQ_FOREACH(pool, &world->core.pools, link) {
		HOLDS(world, pool->calls_count == 0 && pool->waiting == 0, "pool %s: calls are left", pool->name);
		for (uint32_t i = 0; i < pool->size; i++)
			audit_rest(world, pool->slots[i]);
	}
	for (int i = 0; i < WORLD_CLIENTS; i++)
		if (world->players[i]) {
			const struct client *client = player_client(world->players[i]);
			HOLDS(world, client->pending == 0 && client->inflight.count == 0,
			      "a client that waits for nothing has something in flight");
			HOLDS(world, TAILQ_EMPTY(&client->flows) && TAILQ_EMPTY(&client->yielding),
			      "a client that waits for nothing holds something up");
		}
}
