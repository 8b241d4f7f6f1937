/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/direct_life.h"

#include "daemon/core/calls/withdraw.h"
#include "daemon/core/dispatch/to_worker.h"
#include "daemon/core/records/pool.h"
#include "proto/pack.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- which instance ---- */

/* Why the slot can't have another channel of the client, now: a code that is not 0, and the end of a sentence. 0: it can. */
static int refusal_of(const struct slot *slot, const struct client *client, const char **reason)
{
	*reason = "is not ready";
	if (slot->state != SLOT_READY || slot->plan != PLAN_STAY || slot->killed || slot->predecessor ||
	    replay_is_due(&slot->replay))
		return ERROR_UNAVAILABLE;
	*reason = "is leased by another session, or is to be";
	if (slot->leased ? slot->holder != client->id : slot->cleared_for != NULL)
		return ERROR_UNAVAILABLE;
	*reason = "has as many direct channels as max_direct allows";
	return slot->directs_count >= slot->pool->settings.max_direct ? ERROR_OVERLOADED : 0;
}

static struct slot *refuse(const struct slot *slot, const struct client *client, struct error *error)
{
	const char *reason;
	const int code = refusal_of(slot, client, &reason);

	if (slot->broken) {
		slot_say_unavailable(slot, error);
	} else {
		error_say(error, (enum error_code)code, RAN_NO, "pool %s slot %u %s", slot->pool->name, slot->index, reason);
		slot_fill_place(slot, error);
	}
	return NULL;
}

static struct slot *one(struct pool *pool, int64_t wanted, const struct client *client, struct error *error)
{
	const char *reason;

	if (wanted >= pool->size) {
		pool_say_no_slot(pool, (uint64_t)wanted, error);
		return NULL;
	}
	struct slot *slot = pool->slots[wanted];
	return refusal_of(slot, client, &reason) ? refuse(slot, client, error) : slot;
}

static bool is_better(const struct slot *a, const struct slot *b)
{
	return !b || a->directs_count < b->directs_count || (a->directs_count == b->directs_count && a->ahead < b->ahead);
}

static struct slot *best(struct pool *pool, const struct client *client, struct error *error)
{
	struct slot *found = NULL;
	bool full = false;
	const char *reason;

	for (uint32_t i = 0; i < pool->size; i++) {
		struct slot *slot = pool->slots[i];
		const int code = slot->leased ? ERROR_UNAVAILABLE : refusal_of(slot, client, &reason);
		full = full || code == ERROR_OVERLOADED;
		if (!code && is_better(slot, found))
			found = slot;
	}
	if (found)
		return found;
	if (!pool_is_available(pool)) {
		pool_say_unavailable(pool, error);
		return NULL;
	}
	error_say(error, full ? ERROR_OVERLOADED : ERROR_UNAVAILABLE, RAN_NO, "no instance of pool %s %s", pool->name,
		  full ? "has room for another direct channel (max_direct)" : "is free for a direct channel");
	error->pool = pool->name;
	return NULL;
}

int direct_check_quota(const struct client *client, struct error *error)
{
	struct quota *quota = client->quota;
	return quota ? quota_check_held(quota, quota->directs, "direct channel", error) : 0;
}

struct slot *direct_slot_for(struct pool *pool, int64_t wanted, const struct client *client, struct error *error)
{
	if (pool->settings.max_direct > 0 && !pool->paused)
		return wanted >= 0 ? one(pool, wanted, client, error) : best(pool, client, error);
	if (pool->settings.max_direct > 0)
		error_say(error, ERROR_UNAVAILABLE, RAN_NO, "pool %s is paused: it has no direct channels now", pool->name);
	else
		error_say(error, ERROR_DENIED, RAN_NO, "pool %s has no direct channels (max_direct = 0)", pool->name);
	error->pool = pool->name;
	return NULL;
}

/* ---- opening ---- */

/* Has the channel count for the quota of these rights, and not for that of its own any more. */
static void set_rights(struct direct *direct, struct rights *rights)
{
	if (direct->rights && direct->rights->quota)
		direct->rights->quota->directs--;
	if (rights && rights->quota)
		rights->quota->directs++;
	rights_set(&direct->rights, rights);
}

static void free_if_unknown(struct direct *direct)
{
	if (direct->slot || direct->client)
		return;
	account_credit(direct->account, direct->charged);
	free(direct->lost);
	free(direct->pool);
	free(direct);
}

/* After a tenth of max_calls the supervisor looks again. */
static uint64_t tell_every(const struct pool *pool)
{
	const uint64_t most = pool->settings.max_calls;
	return most == 0 ? 0 : most / 10 + 1;
}

static uint32_t take_place(struct slot *slot)
{
	const uint32_t place = (uint32_t)__builtin_ctzll(~slot->direct_places);

	slot->direct_places |= UINT64_C(1) << place;
	slot->directs_count++;
	slot->counts_direct = true;
	board_direct_clear(&slot->board->direct.places[place]);
	return place;
}

struct direct *direct_open(struct client *client, struct slot *slot, struct block *socket, bool rings)
{
	struct direct *direct = calloc(1, sizeof *direct);

	if (!direct || !(direct->pool = strdup(slot->pool->name)) || pool_note_session(slot->pool, client) < 0) {
		if (direct)
			free(direct->pool);
		free(direct);
		return NULL;
	}
	direct->number = ++client->core->last_direct;
	direct->session = client->id;
	direct->index = slot->index;
	direct->generation = slot->generation;
	direct->slot = slot;
	direct->client = client;
	direct->account = client->account;
	set_rights(direct, client->rights);
	direct_charge(direct, 0);
	direct->place = take_place(slot);
	TAILQ_INSERT_TAIL(&slot->directs, direct, of_slot);
	TAILQ_INSERT_TAIL(&client->directs, direct, of_client);
	to_worker_attach(slot, direct->place, client, tell_every(slot->pool), socket, rings);
	slot_relist(slot);
	core_trace(client->core, slot->pool, slot, "session %llu gets direct channel %llu", (unsigned long long)client->id,
		   (unsigned long long)direct->number);
	return direct;
}

/* ---- how one has ended ---- */

/* {"reason", "begun", "error"} */
static void answer(struct direct *direct)
{
	struct sendq *out = direct->ticket.client ? ticket_value(&direct->ticket) : NULL;
	uint8_t room[64], *p = pack_map(room, 3);

	if (out) {
		p = pack_uint(pack_str(p, "begun", 5), direct->begun);
		p = pack_str(pack_str(p, "reason", 6), direct->reason, strlen(direct->reason));
		p = pack_str(p, "error", 5);
		if (!direct->lost)
			p = pack_nil(p);
		sendq_copy(out, room, (size_t)(p - room));
		if (direct->lost)
			error_pack(direct->lost, direct->client->error_form, out);
	}
	ticket_close(&direct->ticket);
}

static void on_abandoned(struct ticket *ticket, const struct error *why)
{
	if (why)
		ticket_answer_error(ticket, why);
}

int direct_await_end(struct direct *direct, struct client *client, const struct rpc *rpc)
{
	if (direct->ticket.client)
		return -EBUSY;
	if (ticket_open(&direct->ticket, client, rpc, on_abandoned) < 0)
		return -ENOMEM;
	if (!direct->slot)
		answer(direct);
	return 0;
}

struct direct *direct_find(const struct client *client, uint64_t number)
{
	struct direct *direct;

	TAILQ_FOREACH(direct, &client->directs, of_client)
		if (direct->number == number)
			return direct;
	return NULL;
}

static void forget(struct direct *direct)
{
	TAILQ_REMOVE(&direct->client->directs, direct, of_client);
	direct->client = NULL;
	free_if_unknown(direct);
}

/* Forgets the oldest of the client's channels that have ended and that nobody asks for, if there are too many. */
static void limit_ended(struct client *client)
{
	struct direct *direct, *oldest = NULL;
	uint32_t n = 0;

	TAILQ_FOREACH(direct, &client->directs, of_client)
		if (!direct->slot && !direct->ticket.client) {
			oldest = oldest ? oldest : direct;
			n++;
		}
	if (n > DIRECT_ENDED_MAX)
		forget(oldest);
}

static void keep_error(struct direct *direct, const struct error *lost)
{
	direct->lost = malloc(sizeof *direct->lost);
	if (!direct->lost)
		return; /* the reason still says that it was lost */
	error_copy(direct->lost, lost);
	direct->lost->pool = direct->pool;
}

static void end(struct direct *direct, const char *reason)
{
	struct slot *slot = direct->slot;

	direct->begun = board_direct_begun(&slot->board->direct, direct->place);
	direct->reason = reason;
	direct_charge(direct, 0);
	core_trace(slot->pool->core, slot->pool, slot, "direct channel %llu of session %llu has ended: %s, %llu messages",
		   (unsigned long long)direct->number, (unsigned long long)direct->session, reason,
		   (unsigned long long)direct->begun);
	TAILQ_REMOVE(&slot->directs, direct, of_slot);
	slot->directs_count--;
	slot->direct_places &= ~(UINT64_C(1) << direct->place);
	if (slot->nested.direct == direct)
		slot->nested.direct = NULL;
	direct->slot = NULL;
	set_rights(direct, NULL); /* its messages' methods make no calls any more */
	if (direct->client) {
		answer(direct);
		limit_ended(direct->client);
	} else {
		free_if_unknown(direct);
	}
}

/* ---- ending ---- */

static void close_one(struct direct *direct, const char *reason)
{
	direct->reason = reason;
	to_worker_detach(direct->slot, direct->place, reason);
}

void direct_close_all(struct slot *slot, const char *reason, uint64_t but)
{
	struct direct *direct;

	TAILQ_FOREACH(direct, &slot->directs, of_slot)
		if (!direct->reason && (!but || direct->session != but))
			close_one(direct, reason);
}

void direct_settle_rights(struct client *client, const char *reason)
{
	struct direct *direct;

	TAILQ_FOREACH(direct, &client->directs, of_client) {
		if (direct->slot)
			set_rights(direct, client->rights);
		if (direct->slot && !direct->reason && !rights_allow(client->rights, RIGHT_DIRECT, direct->pool))
			close_one(direct, reason);
	}
}

int direct_on_closed(struct slot *slot, uint64_t place, bool protocol_error)
{
	struct direct *direct = direct_at(slot, place);

	if (!direct)
		return -EBADMSG;
	direct_take_counts(slot);
	end(direct, protocol_error ? "protocol" : direct->reason ? direct->reason : "client");
	slot_relist(slot);
	return 0;
}

void direct_on_worker_gone(struct slot *slot, const struct error *lost)
{
	struct direct *direct;

	if (!slot->counts_direct)
		return;
	direct_take_counts(slot);
	while ((direct = TAILQ_FIRST(&slot->directs))) {
		if (direct->client)
			keep_error(direct, lost);
		end(direct, "lost");
	}
	slot->counts_direct = false;
	slot->grace_direct = 0;
	board_direct_end(&slot->board->direct);
	atomic_store(&slot->board->direct.methods, 0);
}

/* ---- cancelling ---- */

/* What runs has been told; it has cancel_grace to end. It may have ended already: then another message may run. */
static void on_cancelled(struct direct *direct, uint64_t number)
{
	struct slot *slot = direct->slot;
	const uint64_t word = atomic_load(&slot->board->direct.word);

	if (!board_direct_is_of(word, direct->place, number) || board_direct_state_in(word) != DIRECT_CANCELLED)
		return;
	if (slot->nested.direct == direct)
		withdraw_nested(slot);
	withdraw_set_grace(slot, 0, word);
}

/* The message has ended. Its answer may have been put off: the worker knows. */
static int drop(struct slot *slot, uint32_t place, uint64_t number)
{
	const int r = board_direct_drop(&slot->board->direct, place, number);

	if (r == 1) { /* else the worker has not done yet what it was told before */
		withdraw_limit_step(slot);
		to_worker_drop(slot, place, number);
	}
	return r < 0 ? -ENOSPC : 1;
}

int direct_cancel_message(struct direct *direct, uint64_t number)
{
	if (!direct->slot)
		return 0;
	struct slot *slot = direct->slot;
	const int r = board_direct_cancel(&slot->board->direct, direct->place, number);
	if (r == 1)
		on_cancelled(direct, number);
	if (r == 0 && atomic_load(&slot->board->direct.places[direct->place].put_off) > 0)
		return drop(slot, direct->place, number);
	return r < 0 ? -ENOSPC : r > 0;
}

/* Nobody waits for the answer of what runs. A notification is carried out to its end. */
static void cancel_running(struct direct *direct)
{
	struct direct_board *board = &direct->slot->board->direct;
	const uint64_t word = atomic_load(&board->word);

	if (board_direct_state_in(word) == DIRECT_ENDED || board_direct_place_in(word) != direct->place ||
	    board_direct_is_notification(word))
		return;
	if (board_direct_cancel(board, direct->place, word >> 24) == 1)
		on_cancelled(direct, word >> 24);
}

void direct_on_client_gone(struct client *client)
{
	struct direct *direct;

	while ((direct = TAILQ_FIRST(&client->directs))) {
		TAILQ_REMOVE(&client->directs, direct, of_client);
		direct->client = NULL;
		if (direct->slot) {
			cancel_running(direct);
			to_worker_detach(direct->slot, direct->place, "");
			direct->reason = "client";
		}
		free_if_unknown(direct);
	}
}
