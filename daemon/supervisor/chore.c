/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/chore.h"

#include "daemon/core/pool.h"
#include "daemon/core/pool_life.h"
#include "daemon/core/slot.h"
#include "daemon/core/slot_life.h"
#include "daemon/supervisor/log.h"
#include "daemon/supervisor/packtext.h"

#include <stddef.h>
#include <stdlib.h>

static void chore_free(struct chore *chore)
{
	TAILQ_REMOVE(&chore->daemon->chores, chore, link);
	free(chore->fault);
	free(chore);
}

/* The client of a CREATE has gone or cancelled: chores_run removes its pool, of which nobody has been told. A notification is
 * carried out all the same. */
static void create_on_abandoned(struct ticket *ticket, const struct error *why)
{
	struct chore *chore = (struct chore *)((char *)ticket - offsetof(struct chore, ticket));

	chore->abandoned = !ticket->notification;
	chore->daemon->slots_changed = true;
	ticket_on_abandoned(ticket, why);
}

struct chore *chore_new(struct daemon *daemon, struct pool *pool, enum chore_kind kind)
{
	struct chore *chore = calloc(1, sizeof *chore);
	if (!chore)
		return NULL;
	chore->daemon = daemon;
	chore->pool = pool;
	chore->kind = kind;
	TAILQ_INSERT_TAIL(&daemon->chores, chore, link);
	daemon->slots_changed = true;
	return chore;
}

void chore_answer_to(struct chore *chore, struct client *client, const struct rpc *rpc)
{
	if (ticket_open(&chore->ticket, client, rpc, chore->kind == CHORE_CREATE ? create_on_abandoned : ticket_on_abandoned) < 0)
		log_say(LOG_ERR, "out of memory: a request is done, but can't be answered");
}

static void restart_pool(struct daemon *daemon, struct pool *pool)
{
	struct chore *chore = chore_new(daemon, pool, CHORE_ROLL);
	if (!chore)
		log_pool(LOG_ERR, pool, "out of memory: its workers are not restarted");
}

void chore_restart_all(struct daemon *daemon)
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

static void answer_broken(struct chore *chore, const char *why)
{
	struct error error;
	error_say(&error, ERROR_UNAVAILABLE, RAN_MAYBE, "pool %s: a worker could not be started: %s", chore->pool->name, why);
	ticket_answer_error(&chore->ticket, &error);
}

static bool is_settled(const struct slot *slot)
{
	return (slot->broken && slot->state == SLOT_WAITING) || slot->state == SLOT_READY;
}

/* Removes the pool that CREATE has made. `failed` is the slot that failed (NULL: nobody waits any more); the client is told of
 * the failure once the pool has gone. */
static void undo(struct chore *chore, const struct slot *failed)
{
	if (!failed) {
		log_pool(LOG_INFO, chore->pool, "the pool is not created: who asked for it has gone, or has cancelled");
	} else {
		log_slot(LOG_WARNING, failed, "the pool is not created: %s", failed->last_failure);
		if (asprintf(&chore->fault, "slot %u: %s", failed->index, failed->last_failure) < 0)
			chore->fault = NULL;
	}
	chore->kind = CHORE_UNDO;
	pool_drop(chore->pool, ERROR_CANCELLED, "its pool could not be created");
}

static const struct slot *first_broken(const struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size; i++)
		if (pool->slots[i]->broken)
			return pool->slots[i];
	return NULL;
}

/* Waits until all slots are there, or have failed to be. */
static void run_settling(struct chore *chore)
{
	struct pool *pool = chore->pool;
	const struct slot *broken = first_broken(pool);

	if (chore->kind == CHORE_CREATE && (chore->abandoned || broken)) {
		undo(chore, chore->abandoned ? NULL : broken);
		return;
	}
	for (uint32_t i = 0; i < pool->size; i++)
		if (!is_settled(pool->slots[i]))
			return;
	if (broken)
		answer_broken(chore, pool->fault);
	else
		answer_number(&chore->ticket, "workers", pool->size);
	chore_free(chore);
}

static void run_rolling(struct chore *chore)
{
	const struct pool *pool = chore->pool;

	for (; chore->slot < pool->size; chore->slot++) {
		struct slot *slot = pool->slots[chore->slot];
		if (!chore->begun && slot->leased)
			return; /* until it is given back */
		if (!chore->begun) {
			chore->begun = true;
			chore->generation = slot_restart(slot);
			slot = pool->slots[chore->slot];
		}
		const bool failed = slot->no_successor && !slot->successor;
		/* A steady one that was built since is another slot of that number: the pool has shrunk and grown. */
		const bool built = slot->generation >= chore->generation || slot_is_steady(slot);
		if (!failed && (!built || !is_settled(slot)))
			return;
		if (slot->broken || failed) {
			answer_broken(chore, slot->last_failure);
			chore_free(chore);
			return;
		}
		chore->begun = false;
		chore->done++;
		if (chore->only_one)
			break;
	}
	log_pool(LOG_INFO, pool, "%u worker%s restarted", chore->done, chore->done == 1 ? "" : "s");
	answer_number(&chore->ticket, "restarted", chore->done);
	chore_free(chore);
}

void chores_run(struct daemon *daemon)
{
	struct chore *chore, *next;

	for (chore = TAILQ_FIRST(&daemon->chores); chore; chore = next) {
		next = TAILQ_NEXT(chore, link);
		if (chore->pool->leaving)
			continue; /* it ends with its pool */
		switch (chore->kind) {
		case CHORE_SETTLE:
		case CHORE_CREATE:
			run_settling(chore);
			break;
		case CHORE_ROLL:
			run_rolling(chore);
			break;
		case CHORE_UNDO:
		case CHORE_DROP:
			break;
		}
	}
}

void chores_on_pool_gone(struct daemon *daemon, struct pool *pool)
{
	static const uint8_t yes[] = {0xc3};
	struct chore *chore, *next;
	struct error error;

	for (chore = TAILQ_FIRST(&daemon->chores); chore; chore = next) {
		next = TAILQ_NEXT(chore, link);
		if (chore->pool != pool)
			continue;
		if (chore->kind == CHORE_DROP) {
			ticket_answer_span(&chore->ticket, NULL, (struct span){.bytes = yes, .size = 1});
		} else {
			if (chore->kind == CHORE_UNDO)
				error_say(&error, ERROR_FAILED, RAN_MAYBE, "pool %s could not be created: %s", pool->name,
					  chore->fault ? chore->fault : "out of memory");
			else
				error_say(&error, ERROR_CANCELLED, RAN_MAYBE, "pool %s was removed", pool->name);
			ticket_answer_error(&chore->ticket, &error);
		}
		chore_free(chore);
	}
}

