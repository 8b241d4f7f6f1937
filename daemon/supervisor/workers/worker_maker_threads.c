/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/worker_maker_threads.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/workers/template_process.h"
#include "daemon/supervisor/workers/template_spawn.h"
#include "daemon/supervisor/workers/worker.h"

#include <signal.h>

static void on_channel_end(struct template *template)
{
	if (template->state == TEMPLATE_LOADING) {
		template_on_death(template);
		return;
	}
	(void)event_del(template->event);
	(void)kill(template->pid, SIGKILL); /* on_exit_of_process follows */
}

static void on_silence(struct template *template)
{
	if (template->pid > 0)
		(void)kill(template->pid, SIGKILL); /* on_exit_of_process follows */
	else
		template_give_up(template);
}

static void on_exit_of_process(struct template *template, int status)
{
	const pid_t pid = template->pid;
	struct slot *slot;

	template->pid = 0;
	template_end_process(template);
	while ((slot = template_slot_of(template->pool, pid)))
		worker_on_exit(worker_of(slot), status); /* it has no pid then */
	template_refuse_all(&template->forking, "the pool's process died");
	template->daemon->forks_wanted = true; /* the workers that wait are asked for again */
}

const struct worker_maker worker_maker_threads = {
	.name = "threads",
	.has_threads = true,
	.start = template_spawn,
	.kill = template_kill_child, /* a thread can't be killed alone: on_exit_of_process tells all workers of the process */
	.on_channel_end = on_channel_end,
	.on_silence = on_silence,
	.on_exit = on_exit_of_process,
};
