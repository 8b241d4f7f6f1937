/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/worker_maker_forked.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/workers/template_channel.h"
#include "daemon/supervisor/workers/template_process.h"
#include "daemon/supervisor/workers/template_spawn.h"
#include "daemon/supervisor/workers/worker.h"

/* When its workers end again and again before they are ready, the process is replaced. */
static void on_start_failed(struct template *template, const struct worker *worker)
{
	if (worker->template_life != template->life || template->state != TEMPLATE_READY ||
	    ++template->failed_starts < template->tolerated_starts)
		return;
	log_pool(LOG_WARNING, template->pool,
		 "%u workers in a row have ended before they were ready: the template process is replaced",
		 template->failed_starts);
	happened(HAPPENED_TEMPLATE_DIED, &(struct happened_about){.pool = template->pool, .pid = template->pid},
		 "%u workers in a row have ended before they were ready: it is replaced", template->failed_starts);
	if (template->tolerated_starts < UINT32_MAX / 2)
		template->tolerated_starts *= 2; /* if a new process doesn't help, the process is not at fault */
	template_end_process(template);
	template_ask_again(&template->forking, template);
}

static void on_exit_of_process(struct template *template, int status)
{
	(void)status;
	template->pid = 0;
	template_drain_channel(template);
}

const struct worker_maker worker_maker_forked = {
	.name = "forks",
	.start = template_spawn,
	.kill = template_kill_child,
	.on_start_failed = on_start_failed,
	.on_channel_end = template_on_death,
	.on_silence = template_give_up,
	.on_exit = on_exit_of_process,
};
