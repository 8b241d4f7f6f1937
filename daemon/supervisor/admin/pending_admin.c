/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/admin/pending_admin.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/life/pause.h"
#include "daemon/core/life/pool_life.h"
#include "daemon/core/records/slot.h"
#include "daemon/core/life/slot_life.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/base/packtext.h"
#include "proto/plural.h"

#include <stddef.h>
#include <stdlib.h>

static void pending_admin_free(struct pending_admin *pending)
{
	TAILQ_REMOVE(&pending->daemon->pending_admin, pending, link);
	free(pending->reason);
	free(pending);
}

/* The client of a CREATE has gone or cancelled: pending_admin_run removes its pool, of which nobody has been told. A
 * notification is carried out all the same. */
static void create_on_abandoned(struct ticket *ticket, const struct error *reason)
{
	struct pending_admin *pending = (struct pending_admin *)((char *)ticket - offsetof(struct pending_admin, ticket));

	pending->abandoned = !ticket->notification;
	pending->daemon->slots_changed = true;
	ticket_on_abandoned(ticket, reason);
}

struct pending_admin *pending_admin_new(struct daemon *daemon, struct pool *pool, enum pending_admin_kind kind)
{
	struct pending_admin *pending = calloc(1, sizeof *pending);
	if (!pending)
		return NULL;
	pending->daemon = daemon;
	pending->pool = pool;
	pending->kind = kind;
	TAILQ_INSERT_TAIL(&daemon->pending_admin, pending, link);
	daemon->slots_changed = true;
	return pending;
}

void pending_admin_answer_to(struct pending_admin *pending, struct client *client, const struct rpc *rpc)
{
	if (ticket_open(&pending->ticket, client, rpc,
			pending->kind == PENDING_CREATE ? create_on_abandoned : ticket_on_abandoned) < 0)
		log_say(LOG_ERR, "out of memory: a request is done, but can't be answered");
}

static void restart_pool(struct daemon *daemon, struct pool *pool)
{
	struct pending_admin *pending = pending_admin_new(daemon, pool, PENDING_ROLL);
	if (!pending)
		log_pool(LOG_ERR, pool, "out of memory: its workers are not restarted");
}

void pending_admin_restart_all(struct daemon *daemon)
{
	struct pool *pool;

	log_say(LOG_NOTICE, "restarting all workers, one by one");
	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		if (!pool->leaving)
			restart_pool(daemon, pool);
}

static void answer_number(struct ticket *ticket, const char *key, uint64_t number)
{
	struct sendq *out = ticket_value(ticket);
	msgpack_packer packer;

	if (out) {
		msgpack_packer_init(&packer, out, sendq_write);
		msgpack_pack_map(&packer, 1);
		pack_text(&packer, key);
		msgpack_pack_uint64(&packer, number);
	}
	ticket_close(ticket);
}

static void answer_broken(struct pending_admin *pending, const char *reason)
{
	struct error error;
	error_say(&error, ERROR_UNAVAILABLE, RAN_MAYBE, "pool %s: a worker could not be started: %s", pending->pool->name,
		  reason);
	ticket_answer_error(&pending->ticket, &error);
}

static bool is_settled(const struct slot *slot)
{
	return (slot->broken && slot->state == SLOT_WAITING) || slot->state == SLOT_READY;
}

/* Removes the pool that CREATE has made. `failed` is the slot that failed (NULL: nobody waits any more); the client is told of
 * the failure once the pool has gone. */
static void undo(struct pending_admin *pending, const struct slot *failed)
{
	if (!failed) {
		log_pool(LOG_INFO, pending->pool,
			 "the pool is not created: the client that asked for it has gone, or has cancelled");
	} else {
		log_slot(LOG_WARNING, failed, "the pool is not created: %s", failed->last_failure);
		if (asprintf(&pending->reason, "slot %u: %s", failed->index, failed->last_failure) < 0)
			pending->reason = NULL;
	}
	pending->kind = PENDING_UNDO;
	pool_drop(pending->pool, ERROR_CANCELLED, "its pool could not be created");
}

static const struct slot *first_broken(const struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size; i++)
		if (pool->slots[i]->broken)
			return pool->slots[i];
	return NULL;
}

/* Waits until all slots are there, or have failed to be. */
static void run_settling(struct pending_admin *pending)
{
	struct pool *pool = pending->pool;
	const struct slot *broken = first_broken(pool);

	if (pending->kind == PENDING_CREATE && (pending->abandoned || broken)) {
		undo(pending, pending->abandoned ? NULL : broken);
		return;
	}
	for (uint32_t i = 0; i < pool->size; i++)
		if (!is_settled(pool->slots[i]))
			return;
	if (broken)
		answer_broken(pending, pool->reason);
	else
		answer_number(&pending->ticket, "workers", pool->size);
	pending_admin_free(pending);
}

static void run_rolling(struct pending_admin *pending)
{
	const struct pool *pool = pending->pool;

	for (; pending->slot < pool->size; pending->slot++) {
		struct slot *slot = pool->slots[pending->slot];
		if (!pending->begun && slot->leased)
			return; /* until it is given back */
		if (!pending->begun) {
			pending->begun = true;
			pending->generation = slot_restart(slot, "restart");
			slot = pool->slots[pending->slot];
		}
		const bool failed = slot->no_successor && !slot->successor;
		/* A steady one that was built since is another slot of that number: the pool has shrunk and grown. */
		const bool built = slot->generation >= pending->generation || slot_is_steady(slot);
		if (!failed && (!built || !is_settled(slot)))
			return;
		if (slot->broken || failed) {
			answer_broken(pending, slot->last_failure);
			pending_admin_free(pending);
			return;
		}
		pending->begun = false;
		pending->done++;
		if (pending->only_one)
			break;
	}
	log_pool(LOG_INFO, pool, "%u worker%s restarted", pending->done, plural(pending->done));
	answer_number(&pending->ticket, "restarted", pending->done);
	pending_admin_free(pending);
}

static void answer_true(struct pending_admin *pending)
{
	static const uint8_t yes[] = {0xc3};

	ticket_answer_span(&pending->ticket, NULL, (struct span){.bytes = yes, .size = 1});
}

/* Waits until nothing runs, or the pool is resumed. */
static void run_pausing(struct pending_admin *pending)
{
	const struct pool *pool = pending->pool;
	struct error error;

	if (pool->paused && !pool_rests(pool))
		return;
	if (pool->paused) {
		log_pool(LOG_INFO, pool, "paused: nothing runs");
		answer_true(pending);
	} else {
		error_say(&error, ERROR_CANCELLED, RAN_MAYBE, "pool %s was resumed before all that ran had ended", pool->name);
		ticket_answer_error(&pending->ticket, &error);
	}
	pending_admin_free(pending);
}

void pending_admin_run(struct daemon *daemon)
{
	struct pending_admin *pending, *next;

	for (pending = TAILQ_FIRST(&daemon->pending_admin); pending; pending = next) {
		next = TAILQ_NEXT(pending, link);
		if (pending->pool->leaving)
			continue; /* it ends with its pool */
		switch (pending->kind) {
		case PENDING_SETTLE:
		case PENDING_CREATE:
			run_settling(pending);
			break;
		case PENDING_ROLL:
			run_rolling(pending);
			break;
		case PENDING_PAUSE:
			run_pausing(pending);
			break;
		case PENDING_UNDO:
		case PENDING_DROP:
			break;
		}
	}
}

void pending_admin_on_pool_gone(struct daemon *daemon, struct pool *pool)
{
	struct pending_admin *pending, *next;
	struct error error;

	for (pending = TAILQ_FIRST(&daemon->pending_admin); pending; pending = next) {
		next = TAILQ_NEXT(pending, link);
		if (pending->pool != pool)
			continue;
		if (pending->kind == PENDING_DROP) {
			answer_true(pending);
		} else {
			if (pending->kind == PENDING_UNDO)
				error_say(&error, ERROR_FAILED, RAN_MAYBE, "pool %s could not be created: %s", pool->name,
					  pending->reason ? pending->reason : "out of memory");
			else
				error_say(&error, ERROR_CANCELLED, RAN_MAYBE, "pool %s was removed", pool->name);
			ticket_answer_error(&pending->ticket, &error);
		}
		pending_admin_free(pending);
	}
}

