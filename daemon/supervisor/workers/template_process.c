/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/template_process.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/base/cgroup.h"
#include "daemon/supervisor/workers/keeper.h"
#include "daemon/supervisor/workers/lines.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/workers/worker.h"
#include "daemon/supervisor/workers/worker_maker.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- those that it was to make ---- */

void template_ask_again(struct worker_list *forking, struct template *next)
{
	struct worker *worker;

	while ((worker = TAILQ_FIRST(forking))) {
		worker_close(worker);
		worker->killed_at = 0;
		worker_move(worker, &next->waiting);
	}
	next->daemon->forks_wanted = true;
}

void template_refuse_all(struct worker_list *refused, const char *reason)
{
	struct worker_list now;
	struct worker *worker;

	TAILQ_INIT(&now);
	while ((worker = TAILQ_FIRST(refused)))
		worker_move(worker, &now);
	while ((worker = TAILQ_FIRST(&now))) {
		worker_move(worker, NULL);
		worker_on_refused(worker, reason);
	}
}

/* ---- its end ---- */

struct slot *template_slot_of(const struct pool *pool, int64_t pid)
{
	struct slot *slot;

	SLOT_FOREACH(slot, pool)
		if (slot->pid == pid)
			return slot;
	return NULL;
}

static struct slot *slot_with_process(const struct pool *pool)
{
	struct slot *slot;

	SLOT_FOREACH(slot, pool)
		if (slot->pid > 0)
			return slot;
	return NULL;
}

void template_end_process(struct template *template)
{
	if (template->event)
		event_free(template->event);
	template->event = NULL;
	if (template->fd >= 0)
		(void)close(template->fd); /* it ends at that; the loop reaps it */
	template->fd = -1;
	if (template->pid > 0)
		keeper_end(template->daemon->keeper, template->pid); /* it leads its group */
	template->pid = 0;
	template_set_state(template, TEMPLATE_NONE);
	for (int i = 0; i < 2; i++)
		template->printed[i] = lines_free(template->printed[i]);
}

/* Its process, which had that state and pid, has ended, and its last lines have been read. */
static void tell_failed(const struct template *template, enum template_state state, pid_t pid, const char *reason)
{
	const struct said_line *words = said_last_of_template(&template->said, template->said_before);
	struct happened_about about = {.pool = template->pool, .pid = pid};

	if (template->pool->leaving || state == TEMPLATE_NONE)
		return;
	if (words) {
		about.words = words->text;
		about.words_size = words->size;
	}
	happened(state == TEMPLATE_LOADING ? HAPPENED_TEMPLATE_FAILED : HAPPENED_TEMPLATE_DIED, &about, "%s", reason);
}

void template_fail(struct template *template, const char *reason)
{
	const enum template_state state = template->state;
	const pid_t pid = template->pid;
	struct slot *slot;

	template_end_process(template);
	tell_failed(template, state, pid, reason);
	while (template->maker->is_parent && (slot = slot_with_process(template->pool)))
		worker_on_exit(worker_of(slot), SIGKILL); /* what becomes of a child of that process when it ends */
	template_refuse_all(&template->forking, reason);
	template_refuse_all(&template->waiting, reason);
}

void template_on_death(struct template *template)
{
	char reason[160] = "the template process died", verdict[96];
	const size_t size = strlen(reason);

	if (template->cgroup && cgroup_template_verdict(template->cgroup, template->killed_before, verdict, sizeof verdict))
		snprintf(reason + size, sizeof reason - size, ": %s", verdict);
	else if (template->state == TEMPLATE_LOADING)
		snprintf(reason + size, sizeof reason - size, " while it loaded the plugin");
	/* The process that a program has offered ends by itself when its pool leaves: no warning then. */
	log_pool(template->pool->leaving ? LOG_DEBUG : LOG_WARNING, template->pool, "%s", reason);
	template_fail(template, reason);
}

void template_give_up(struct template *template)
{
	template_fail(template, "the template process does not answer");
}

void template_kill_child(struct template *template, struct worker *worker)
{
	(void)template;
	(void)kill((pid_t)worker->slot->pid, SIGKILL);
}

/* ---- word that it owes ---- */

/* Since when it has owed word of this one; UINT64_MAX: it owes none. */
static uint64_t owed_since(const struct template *template, const struct slot *slot)
{
	const struct worker *worker = worker_of(slot);

	if (!worker || !worker->killed_at)
		return UINT64_MAX;
	return worker->listed == &template->forking || (template->maker->is_parent && slot->pid > 0) ? worker->killed_at
												     : UINT64_MAX;
}

static uint64_t first_owed(const struct template *template)
{
	const struct pool *pool = template->pool;
	uint64_t first = UINT64_MAX, since;
	const struct slot *slot;

	SLOT_FOREACH(slot, pool)
		if ((since = owed_since(template, slot)) < first)
			first = since;
	return first;
}

void template_on_silence(struct timer *timer)
{
	struct template *template = container_of(timer, struct template, patience);
	struct core *core = &template->daemon->core;
	const uint64_t since = first_owed(template);

	if (since == UINT64_MAX)
		return;
	if (core->now - since < TEMPLATE_PATIENCE) {
		timer_set(&core->timers, timer, since + TEMPLATE_PATIENCE);
		return;
	}
	/* The process that a program has offered ends by itself when its pool leaves: no warning then. */
	log_pool(template->pool->leaving ? LOG_DEBUG : LOG_WARNING, template->pool,
		 "the pool's template process does not answer");
	template->maker->on_silence(template);
}
