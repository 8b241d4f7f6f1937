/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/lease.h"

#include "daemon/core/calls/call_answer.h"
#include "daemon/core/calls/direct_life.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/dispatch/scheduler.h"
#include "daemon/core/records/slot.h"
#include "daemon/core/dispatch/to_worker.h"
#include "proto/pack.h"

#include <errno.h>
#include <stdlib.h>

static void reap(struct ending *ending)
{
	free(container_of(ending, struct lease, ending));
}

/* ---- one that waits has a slot's direct channels closed ---- */

static void clear(struct lease *lease, struct slot *slot)
{
	lease->clearing = slot;
	slot->cleared_for = lease;
	direct_close_all(slot, "leased", lease->session); /* slot_step follows when they are closed */
}

/* The lease needs the slot no more, or can't have it. Another lease may want it, or this lease another slot. */
static void stop_clearing(struct lease *lease)
{
	if (!lease->clearing)
		return;
	pool_wake(lease->clearing->pool);
	lease->clearing->cleared_for = NULL;
	lease->clearing = NULL;
}

/* ---- its end ---- */

static void lease_end(struct lease *lease)
{
	struct core *core = lease->client->core;

	timer_close(&core->timers, &lease->timer);
	stop_clearing(lease);
	TAILQ_REMOVE(&lease->client->leases, lease, of_client);
	client_count_lease(lease->client, false);
	if (lease->pool)
		TAILQ_REMOVE(&lease->pool->leases, lease, of_pool);
	core_reap_later(core, &lease->ending);
}

void lease_fail(struct lease *lease, struct error *error)
{
	if (lease->pool)
		error->pool = lease->pool->name;
	ticket_answer_error(&lease->ticket, error);
}

/* ---- having one ---- */

static void tell_ended(const struct slot *slot, uint64_t session, const char *broken)
{
	const struct core_ops *ops = slot->pool->core->ops;

	if (ops->lease_ended)
		ops->lease_ended(slot, session, broken);
}

static void let_others_in(struct slot *slot)
{
	slot->leased = NULL;
	slot->holder = 0;
	slot_relist(slot);
	pool_wake(slot->pool);
	slot->pool->core->ops->slot_changed(slot); /* a request may wait until the slot can be replaced */
}

static void say_lost(const struct lease *lease, struct error *error)
{
	error_say(error, ERROR_WORKER_LOST, RAN_NO,
		  "the lease of pool %s slot %u has ended: %s; release it before you call the slot again",
		  lease->pool->name, lease->index, lease->reason);
	error->pool = lease->pool->name;
	error->slot = lease->index;
}

/* Takes the batch back. False: a worker has begun it. */
static bool revoke(const struct batch *batch)
{
	return !batch->tag && (batch->flow || board_revoke(batch->slot->board, batch->id));
}

void lease_fail_calls(const struct lease *lease)
{
	const struct pool *pool = lease->pool;
	struct call *call;
	struct error error;

	TAILQ_FOREACH(call, &pool->calls, link) {
		if (call->answered || call->ticket.client != lease->client || call->select != SELECT_SLOT)
			continue;
		if (!call->only.slot || call->only.slot->index != lease->index || !revoke(&call->only))
			continue;
		say_lost(lease, &error);
		call_fail(call, &error);
	}
}

void lease_lose(struct lease *lease, const char *reason)
{
	struct slot *slot = lease->slot;

	to_worker_release(slot, lease->session); /* does nothing when the worker has gone */
	direct_close_all(slot, "lease", 0);
	tell_ended(slot, lease->session, reason);
	lease->state = LEASE_LOST;
	lease->reason = reason;
	lease->slot = NULL;
	timer_clear(&lease->client->core->timers, &lease->timer);
	let_others_in(slot);
}

static void on_time_over(struct lease *lease)
{
	lease_lose(lease, "its time is over");
	lease_fail_calls(lease);
}

static void answer(struct lease *lease)
{
	struct sendq *out = ticket_value(&lease->ticket);
	uint8_t room[64], *p = pack_map(room, 2);

	if (out) {
		p = pack_uint(pack_str(p, "slot", 4), lease->index);
		p = pack_uint(pack_str(p, "generation", 10), lease->slot->generation);
		sendq_copy(out, room, (size_t)(p - room));
	}
	ticket_close(&lease->ticket);
}

static void hold(struct lease *lease)
{
	struct core *core = lease->client->core;

	lease->state = LEASE_HELD;
	lease->slot->holder = lease->session;
	lease->pool->leases_waiting--;
	timer_clear(&core->timers, &lease->timer);
	if (lease->time)
		timer_set(&core->timers, &lease->timer, core->now + lease->time);
	if (core->ops->lease_opened)
		core->ops->lease_opened(lease->slot, lease->session);
	answer(lease);
	scheduler_pull(lease->slot); /* the holder's calls may wait in the slot's queue */
}

/* ---- getting one ---- */

static bool may_be_leased(const struct slot *slot)
{
	return slot->state == SLOT_READY && slot->plan == PLAN_STAY && !slot->killed && !slot->predecessor && !slot->successor &&
	       !slot->leased && slot->handed_count == 0 && !slot_is_at_work(slot) && !replay_is_due(&slot->replay);
}

static void assign(struct lease *lease, struct slot *slot)
{
	stop_clearing(lease);
	lease->slot = slot;
	lease->index = slot->index;
	lease->state = LEASE_ASKING;
	slot->leased = lease;
	slot_relist(slot);
	if (!slot->pool->has_leased) {
		hold(lease);
		return;
	}
	slot->leases_asked++;
	to_worker_lease(slot, lease->session);
}

/* The first, from `lease` on, that waits for this slot or for any slot. NULL: none does. */
static struct lease *next_for(const struct slot *slot, struct lease *lease)
{
	for (; lease; lease = TAILQ_NEXT(lease, of_pool))
		if (lease->state == LEASE_WAITING && (lease->wanted < 0 || lease->wanted == slot->index))
			return lease;
	return NULL;
}

/* The oldest for which no slot's channels are closed yet. */
static struct lease *first_without(const struct slot *slot, struct lease *lease)
{
	for (lease = next_for(slot, lease); lease && lease->clearing; lease = next_for(slot, TAILQ_NEXT(lease, of_pool)))
		;
	return lease;
}

/* A slot is not leased when its successor waits until max_calls is reached. The missing calls may never come, so the successor
 * is to take its place now. */
static void hurry_successor(struct slot *slot)
{
	if (!slot->successor || !slot->successor->waits_for_calls)
		return;
	slot->successor->waits_for_calls = false;
	pool_wake(slot->pool);
}

void lease_serve(struct slot *slot)
{
	struct lease *lease = slot->pool->leases_waiting > 0 ? next_for(slot, TAILQ_FIRST(&slot->pool->leases)) : NULL;

	if (!lease || slot->pool->paused)
		return;
	if (!may_be_leased(slot))
		hurry_successor(slot);
	else if (!direct_has_others(slot, lease->session))
		assign(lease, slot);
	else if (!slot->cleared_for && (lease = first_without(slot, lease)))
		clear(lease, slot);
}

void lease_serve_pool(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size && pool->leases_waiting > 0; i++)
		if (pool->slots[i]->directs_count == 0)
			lease_serve(pool->slots[i]);
	for (uint32_t i = 0; i < pool->size && pool->leases_waiting > 0; i++)
		lease_serve(pool->slots[i]); /* rather one that has direct channels than none */
}

void lease_on_answer(struct slot *slot, struct error *refusal)
{
	struct lease *lease = slot->leased;

	if (!lease || lease->state != LEASE_ASKING)
		return; /* the lease has been given up meanwhile */
	if (!refusal) {
		hold(lease);
		return;
	}
	lease->slot = NULL;
	lease->pool->leases_waiting--;
	let_others_in(slot);
	lease_fail(lease, refusal);
	lease_end(lease);
}

/* The `abandoned` of a request for a lease: the client has cancelled it, or has gone, and lease_on_client_gone ends the lease. */
static void on_abandoned(struct ticket *ticket, const struct error *cause)
{
	struct lease *lease = container_of(ticket, struct lease, ticket);
	struct error error;

	if (!cause)
		return;
	error_copy(&error, cause);
	lease_fail(lease, &error);
	lease_release(lease);
}

static void on_timer(struct timer *timer)
{
	struct lease *lease = container_of(timer, struct lease, timer);
	struct error error;

	if (lease->state == LEASE_HELD) {
		on_time_over(lease);
		return;
	}
	error_say(&error, ERROR_TIMEOUT, RAN_NO, "no instance of pool %s became free for a lease in time", lease->pool->name);
	lease_fail(lease, &error);
	lease_release(lease);
}

int lease_begin(struct client *client, const struct rpc *rpc, struct pool *pool, const struct lease_options *options)
{
	struct timers *timers = &client->core->timers;
	struct lease *lease = calloc(1, sizeof *lease);

	if (!lease || timer_open(timers, &lease->timer, on_timer) < 0) {
		free(lease);
		return -ENOMEM;
	}
	if (ticket_open(&lease->ticket, client, rpc, on_abandoned) < 0) {
		timer_close(timers, &lease->timer);
		free(lease);
		return -ENOMEM;
	}
	lease->ending.reap = reap;
	lease->client = client;
	lease->pool = pool;
	lease->session = client->id;
	lease->wanted = options->slot;
	lease->time = options->time;
	TAILQ_INSERT_TAIL(&client->leases, lease, of_client);
	client_count_lease(client, true);
	TAILQ_INSERT_TAIL(&pool->leases, lease, of_pool);
	pool->leases_waiting++;
	pool_note_sharing(pool);
	if (options->patience)
		timer_set(&client->core->timers, &lease->timer, client->core->now + options->patience);
	lease_serve_pool(pool);
	return 0;
}

struct lease *lease_find(const struct client *client, const struct pool *pool, int64_t slot)
{
	struct lease *lease;

	TAILQ_FOREACH(lease, &client->leases, of_client) {
		const bool has_slot = lease->state == LEASE_HELD || lease->state == LEASE_LOST;
		if (lease->pool == pool && has_slot && (slot < 0 || lease->index == slot))
			return lease;
	}
	return NULL;
}

bool lease_is_with_gateway(const struct client *client, const struct pool *pool, int64_t slot)
{
	const struct lease *lease;

	if (!client->abroad || lease_find(client, pool, slot))
		return false;
	TAILQ_FOREACH(lease, &pool->leases, of_pool)
		if (lease->client->acts_for == client->id && lease_find(lease->client, pool, slot))
			return true;
	return false;
}

/* ---- giving it back ---- */

bool lease_give_up(struct client *client, const struct pool *pool, int64_t slot)
{
	struct lease *lease;
	struct error error;

	TAILQ_FOREACH(lease, &client->leases, of_client) {
		const int64_t place = lease->state == LEASE_ASKING ? lease->index : lease->wanted;
		if (lease->state > LEASE_ASKING || lease->pool != pool || (slot >= 0 && place >= 0 && place != slot))
			continue;
		error_say(&error, ERROR_CANCELLED, RAN_NO, "the lease was released before it was granted");
		lease_fail(lease, &error);
		lease_release(lease);
		return true;
	}
	return false;
}

void lease_release(struct lease *lease)
{
	struct slot *slot = lease->slot;

	if (lease->pool && lease->state <= LEASE_ASKING)
		lease->pool->leases_waiting--;
	if (slot && lease->state == LEASE_HELD)
		tell_ended(slot, lease->session, NULL);
	if (slot) {
		to_worker_release(slot, lease->session); /* also while the instance has not answered: it may have agreed */
		let_others_in(slot);
	}
	lease_end(lease);
}

int lease_check(const struct client *client, const struct pool *pool, uint32_t slot, struct error *error)
{
	const struct lease *lease;

	TAILQ_FOREACH(lease, &client->leases, of_client)
		if (lease->state == LEASE_LOST && lease->pool == pool && lease->index == slot) {
			say_lost(lease, error);
			return -EINVAL;
		}
	return 0;
}

struct lease *lease_lose_slot(struct slot *slot, const char *reason)
{
	struct lease *lease = slot->leased;

	if (slot->cleared_for)
		stop_clearing(slot->cleared_for);
	if (lease && lease->state == LEASE_HELD) {
		lease_lose(lease, reason);
		return lease;
	}
	if (lease) {
		to_worker_release(slot, lease->session); /* the instance may have agreed */
		lease->state = LEASE_WAITING;
		lease->slot = NULL;
		let_others_in(slot);
	}
	return NULL;
}

int lease_check_quota(const struct client *client, struct error *error)
{
	struct quota *quota = client->quota;
	return quota ? quota_check_held(quota, quota->leases, "lease", error) : 0;
}

int lease_check_place(const struct pool *pool, int64_t wanted, struct error *error)
{
	if (wanted >= 0 && pool->slots[wanted]->broken)
		slot_say_unavailable(pool->slots[wanted], error);
	else if (!pool_is_available(pool))
		pool_say_unavailable(pool, error);
	else
		return 0;
	return -EHOSTDOWN;
}
