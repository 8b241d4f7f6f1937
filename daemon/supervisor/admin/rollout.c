/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/admin/rollout.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/life/pool_life.h"
#include "daemon/core/life/sizing.h"
#include "daemon/core/life/slot_life.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/workers/template_life.h"
#include "daemon/supervisor/workers/worker.h"
#include "proto/plural.h"

#include <stdlib.h>

struct rollout {
	TAILQ_ENTRY(rollout) link; /* in daemon->rollouts */
	struct daemon *daemon;
	struct pool *pool;
	struct change *change; /* NULL: it is closed */
	uint64_t version;      /* of the template, when it began */
	bool begun;            /* `slot` is to get its instance of `generation` */
	uint32_t slot;
	uint64_t generation;
};

/* ---- the pool's size ---- */

static void keep_scaled(struct template *template, const struct config_pool *before, const struct config_pool *section,
			struct pool_settings *settings)
{
	if (!config_pool_keeps_size(before, section, template->scaled))
		template->scaled = 0;
	if (template->scaled)
		sizing_fit(settings, template->scaled);
}

bool rollout_set_size(struct pool *pool, const struct config_pool *before, const struct config_pool *section)
{
	struct pool_settings settings = config_pool_settings(section);
	const uint32_t workers = config_pool_workers(section), was = pool->size;
	uint32_t size = config_pool_workers(before) == workers ? was : workers;

	keep_scaled(template_of(pool), before, section, &settings);
	if (size < settings.workers_min)
		size = settings.workers_min;
	if (size > settings.workers_max)
		size = settings.workers_max;
	pool_set(pool, &settings);
	if (size == was)
		return false;
	if (pool_resize(pool, size) < 0)
		log_pool(LOG_ERR, pool, "out of memory: it has %u worker%s, not %u", pool->size, plural(pool->size), size);
	return true;
}

/* ---- which instances are of the present template ---- */

static bool is_of_template(const struct slot *slot)
{
	const struct worker *worker = worker_of(slot);
	const struct template *template = template_of(slot->pool);

	return slot->state == SLOT_READY && worker->version == template->version;
}

/* Does what the template makes work? An instance of it is up, if only to take a slot's place soon. */
static bool is_proven(const struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size; i++) {
		const struct slot *slot = pool->slots[i];
		if (is_of_template(slot) || (slot->successor && is_of_template(slot->successor)))
			return true;
	}
	return pool->size == 0; /* it is asleep */
}

static uint32_t count_ready(const struct pool *pool, bool of_template)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < pool->size; i++)
		n += pool->slots[i]->state == SLOT_READY && is_of_template(pool->slots[i]) == of_template;
	return n;
}

bool rollout_is_wanted(const struct pool *pool)
{
	return pool->broken > 0 || count_ready(pool, false) > 0;
}

/* ---- when it fails ---- */

static void restart_broken(struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size; i++)
		if (pool->slots[i]->broken && pool->slots[i]->state == SLOT_WAITING)
			(void)slot_restart(pool->slots[i], "reload");
}

/* The end of a sentence: what serves now. */
static void say_what_serves(const struct pool *pool, char *text, size_t size)
{
	const uint32_t new = count_ready(pool, true), old = count_ready(pool, false);

	if (new + old == 0)
		snprintf(text, size, "no instance serves");
	else if (new == 0)
		snprintf(text, size, "%u instance%s from before the reload serve%s on", old, plural(old), old == 1 ? "s" : "");
	else if (old == 0)
		snprintf(text, size, "%u of %u instances serve%s", new, pool->size, new == 1 ? "s" : "");
	else
		snprintf(text, size, "%u new instance%s and %u from before the reload serve", new, plural(new), old);
}

static void end(struct rollout *rollout, const char *reason)
{
	TAILQ_REMOVE(&rollout->daemon->rollouts, rollout, link);
	change_close(rollout->change, reason);
	free(rollout);
}

/* Goes back to the template from before the reload if nothing but its instances serves; without it, one that dies could not be
 * built again. */
static void fail(struct rollout *rollout, const struct slot *slot)
{
	struct pool *pool = rollout->pool;
	const bool old_serve = count_ready(pool, false) > 0, back = old_serve && count_ready(pool, true) == 0;
	struct template *template = template_of(pool);
	char serves[96], reason[sizeof template->reason];

	say_what_serves(pool, serves, sizeof serves);
	snprintf(reason, sizeof reason, "slot %u: %s; %s", slot->index, slot->last_failure, serves);
	if (back && template->before) {
		template_revert(template);
		restart_broken(pool);
		template = template_of(pool);
	}
	if (old_serve)
		memcpy(template->reason, reason, sizeof template->reason); /* else pool->reason says what is wrong, while it is */
	end(rollout, reason);
}

/* ---- slot after slot ---- */

static void prove(struct pool *pool)
{
	struct template *template = template_of(pool);

	if (!template->before || !is_proven(pool))
		return;
	(void)rollout_set_size(pool, &template->before->section, &template->section);
	template_commit(template);
}

/* 1: the slot has what it was to get, or may try again; 0: not yet; -1: it can't be built. */
static int outcome(const struct rollout *rollout, const struct slot *slot)
{
	if (slot_is_steady(slot)) /* the slot may be another one of that number: the pool has shrunk and grown */
		return slot->no_successor && !is_of_template(slot) ? -1 : 1;
	return slot->generation >= rollout->generation && slot->broken && slot->state == SLOT_WAITING ? -1 : 0;
}

/* Is there a first try, in a pool that is new or had no instances, that has not come to an end? */
static bool is_starting(const struct pool *pool)
{
	for (uint32_t i = 0; i < pool->size; i++)
		if (pool->slots[i]->state == SLOT_STARTING)
			return true;
	return false;
}

/* Goes on with the slot. False: it has to be waited for, or the rollout has ended. */
static bool go_on(struct rollout *rollout)
{
	const struct pool *pool = rollout->pool;
	const struct slot *slot = rollout->slot < pool->size ? pool->slots[rollout->slot] : NULL;

	if (rollout->begun && slot) {
		const int r = outcome(rollout, slot);
		if (r < 0 && !is_starting(pool))
			fail(rollout, slot);
		if (r <= 0)
			return false;
	}
	rollout->begun = false;
	return true;
}

static void begin(struct rollout *rollout, struct slot *slot)
{
	rollout->begun = true;
	rollout->slot = slot->index;
	rollout->generation = slot_restart(slot, "reload");
}

/* The next slot to be replaced; NULL: there is none. *leased: one is, and can be only when it has been given back. */
static struct slot *next_slot(const struct pool *pool, bool *leased)
{
	for (uint32_t i = 0; i < pool->size; i++) {
		struct slot *slot = pool->slots[i];
		if (is_of_template(slot))
			continue;
		if (!slot->leased)
			return slot;
		*leased = true;
	}
	return NULL;
}

static void run(struct rollout *rollout)
{
	struct pool *pool = rollout->pool;
	struct template *template = template_of(pool);
	bool leased = false;

	if (template->version < rollout->version) {
		end(rollout, template->reason); /* another rollout has gone back */
		return;
	}
	prove(pool);
	if (!go_on(rollout))
		return;
	struct slot *slot = next_slot(pool, &leased);
	if (slot) {
		begin(rollout, slot);
		return;
	}
	template->reason[0] = '\0';
	if (!leased) {
		end(rollout, NULL);
	} else {
		change_close(rollout->change, NULL);
		rollout->change = NULL;
	}
}

void rollouts_run(struct daemon *daemon)
{
	struct rollout *rollout, *next;

	for (rollout = TAILQ_FIRST(&daemon->rollouts); rollout; rollout = next) {
		next = TAILQ_NEXT(rollout, link);
		if (!rollout->pool->leaving)
			run(rollout);
	}
}

/* ---- beginning and ending ---- */

void rollout_begin(struct daemon *daemon, struct pool *pool, struct change *change)
{
	const struct template *template = template_of(pool);
	struct rollout *rollout = calloc(1, sizeof *rollout);

	change_open(change);
	if (!rollout) {
		log_pool(LOG_ERR, pool, "out of memory: its instances are not replaced");
		change_close(change, NO_MEMORY);
		return;
	}
	*rollout = (struct rollout){.daemon = daemon, .pool = pool, .change = change, .version = template->version};
	TAILQ_INSERT_TAIL(&daemon->rollouts, rollout, link);
	restart_broken(pool);
	daemon->slots_changed = true;
}

void rollouts_on_pool_gone(struct daemon *daemon, struct pool *pool)
{
	struct rollout *rollout, *next;

	for (rollout = TAILQ_FIRST(&daemon->rollouts); rollout; rollout = next) {
		next = TAILQ_NEXT(rollout, link);
		if (rollout->pool == pool)
			end(rollout, "the pool was removed");
	}
}
