/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/workers/children.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/workers/keeper.h"
#include "daemon/supervisor/workers/slowlog.h"
#include "daemon/supervisor/workers/template.h"
#include "daemon/supervisor/workers/worker.h"
#include "daemon/supervisor/workers/worker_maker.h"

#include <sys/wait.h>

static struct worker *find_worker(struct daemon *daemon, pid_t pid)
{
	struct pool *pool;
	struct slot *slot;

	TAILQ_FOREACH(pool, &daemon->core.pools, link)
	{
		const struct template *template = template_of(pool);
		if (template->maker->is_parent)
			continue; /* their workers are no children of this process, whatever it says */
		SLOT_FOREACH(slot, pool)
			if (slot->pid == pid)
				return worker_of(slot);
	}
	return NULL;
}

static struct template *find_template(struct daemon *daemon, pid_t pid)
{
	struct pool *pool;

	TAILQ_FOREACH(pool, &daemon->core.pools, link)
	{
		struct template *template = template_of(pool);
		if (template->pid == pid)
			return template;
		if (template->before && template->before->pid == pid)
			return template->before;
	}
	return NULL;
}

/* The pid of a child that has ended and has not been waited for; 0: there is none. */
static pid_t next_ended(void)
{
	siginfo_t info = {0};

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ? info.si_pid : 0;
}

void children_reap(struct daemon *daemon)
{
	int status = 0;
	pid_t pid;

	while ((pid = next_ended()) > 0) {
		keeper_end(daemon->keeper, pid); /* before waitpid: the group's number is still its own */
		(void)waitpid(pid, &status, 0);
		struct template *template = find_template(daemon, pid);
		struct worker *worker = template ? NULL : find_worker(daemon, pid);
		if (template) {
			template->maker->on_exit(template, status);
		} else if (worker) {
			worker_on_exit(worker, status);
		} else if (!keeper_on_child(daemon->keeper, pid) && !slowlog_on_child(daemon, pid, status) &&
			   !daemon->ops->child_ended(daemon, pid, status)) {
			unclaimed_add(&daemon->unclaimed, pid, status);
		}
	}
	cgroups_tidy(&daemon->cgroups);
}
