/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/template_life.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/base/cgroup.h"
#include "daemon/supervisor/workers/loading.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/workers/template_forks.h"
#include "daemon/supervisor/workers/template_process.h"
#include "daemon/supervisor/workers/worker.h"
#include "daemon/supervisor/workers/worker_maker_forked.h"
#include "daemon/supervisor/workers/worker_maker_program.h"
#include "daemon/supervisor/workers/worker_maker_threads.h"

#include <stdlib.h>

static const struct worker_maker *maker_for(const struct config_pool *section)
{
	return section->offered                         ? &worker_maker_program
	       : section->isolation == ISOLATION_THREAD ? &worker_maker_threads
							: &worker_maker_forked;
}

struct template *template_new(struct daemon *daemon, struct config_pool *section)
{
	struct template *template = calloc(1, sizeof *template);

	if (!template)
		return NULL;
	if (!(template->plugin_path = loading_path(&daemon->config, section))) {
		free(template);
		return NULL;
	}
	template->daemon = daemon;
	template->since = daemon->core.now;
	template->version = ++daemon->serial;
	if (timer_open(&daemon->core.timers, &template->patience, template_on_silence) < 0 ||
	    timer_open(&daemon->core.timers, &template->again, template_on_again) < 0) {
		timer_close(&daemon->core.timers, &template->patience);
		free(template->plugin_path);
		free(template);
		return NULL;
	}
	template->maker = maker_for(section);
	template->section = *section;
	*section = (struct config_pool){0};
	template->fd = -1;
	template->tolerated_starts = TEMPLATE_STARTS_TOLERATED;
	TAILQ_INIT(&template->waiting);
	TAILQ_INIT(&template->forking);
	return template;
}

/* What `old` was to fork, `next` forks. */
static void take_over(struct template *old, struct template *next)
{
	struct worker *worker;

	next->scaled = old->scaled;
	next->loads = old->loads;
	said_move(&next->said, &old->said);
	old->pool->owner = next;
	old->pool->settings.start_timeout =
		next->section.start_timeout; /* it goes with what is built; rollout.c takes the other settings */
	while ((worker = TAILQ_FIRST(&old->waiting)))
		worker_move(worker, &next->waiting);
	next->daemon->forks_wanted = true;
	template_ask_again(&old->forking, next);
}

void template_succeed(struct template *old, struct template *next)
{
	next->pool = old->pool;
	next->created_by_client = old->created_by_client;
	next->creator = old->creator;
	take_over(old, next);
	next->before = old->before ? old->before : old;
	if (!old->before)
		return;
	old->before = NULL;
	template_free(old); /* nobody knows whether it works */
}

void template_commit(struct template *template)
{
	if (template->before)
		template_free(template->before);
	template->before = NULL;
}

void template_revert(struct template *template)
{
	struct template *before = template->before;

	template->before = NULL;
	take_over(template, before);
	if (before->description && template_describe_to_pool(before) < 0)
		log_pool(LOG_ERR, before->pool, "out of memory: some of its methods are not known");
	template_free(template);
}

void template_free(struct template *template)
{
	template_commit(template);
	template_end_process(template);
	said_clear(&template->said);
	template->cgroup = cgroup_remove(&template->daemon->cgroups, template->cgroup);
	timer_close(&template->daemon->core.timers, &template->patience);
	timer_close(&template->daemon->core.timers, &template->again);
	block_unref(template->description);
	free(template->plugin_path);
	config_pool_free(&template->section);
	free(template);
}
