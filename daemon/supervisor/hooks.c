/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/hooks.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/admin/admin.h"
#include "daemon/supervisor/admin/admin_log.h"
#include "daemon/supervisor/admin/pending_admin.h"
#include "daemon/supervisor/admin/reload.h"
#include "daemon/supervisor/admin/rollout.h"
#include "daemon/supervisor/admin/service.h"
#include "daemon/supervisor/cluster/cluster.h"
#include "daemon/supervisor/connections/session.h"
#include "daemon/supervisor/http/http.h"
#include "daemon/supervisor/http/pool_views.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/stop.h"
#include "daemon/supervisor/view/status.h"
#include "daemon/supervisor/workers/children.h"
#include "daemon/supervisor/workers/slowlog.h"
#include "daemon/supervisor/workers/template_forks.h"
#include "daemon/supervisor/workers/template_life.h"
#include "daemon/supervisor/workers/worker.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

/* ---- core_ops ---- */

static struct daemon *daemon_of(const struct pool *pool)
{
	return container_of(pool->core, struct daemon, core);
}

/* A successor serves once it has taken the place. */
static void log_changed(const struct slot *slot)
{
	struct worker *worker = worker_of(slot);

	if (slot->state != SLOT_READY || slot->predecessor || worker->announced)
		return;
	worker->announced = true;
	log_slot(LOG_INFO, slot, "ready, pid %lld, generation %llu", (long long)slot->pid, (unsigned long long)slot->generation);
	if (slot->cause)
		happened(HAPPENED_SLOT_REPLACED, &(struct happened_about){.slot = slot}, "a new instance has taken the place: %s",
			 slot->cause);
	happened(HAPPENED_SLOT_READY, &(struct happened_about){.slot = slot}, "the instance is ready");
}

static void on_slot_changed(struct slot *slot)
{
	daemon_of(slot->pool)->slots_changed = true;
	if (slot->state == SLOT_READY)
		template_on_start_worked(template_of(slot->pool), worker_of(slot)->template_life);
	log_changed(slot);
}

static void on_pool_free(struct pool *pool)
{
	struct daemon *daemon = daemon_of(pool);
	pending_admin_on_pool_gone(daemon, pool);
	rollouts_on_pool_gone(daemon, pool);
	pool_views_on_pool_gone(daemon->pool_views, pool);
	log_pool(LOG_INFO, pool, "stopped");
	happened(HAPPENED_POOL_REMOVED, &(struct happened_about){.pool = pool}, "its calls and its workers have ended");
	if (template_of(pool))
		template_free(template_of(pool));
	daemon->slots_changed = true;
}

/* The method that the slot's instance runs, and for how many seconds. NULL: it runs none. */
static const char *method_of(const struct slot *slot, char room[DIRECT_NAME], double *seconds)
{
	uint64_t since = 0;
	const char *method = slot->state == SLOT_READY ? status_running(slot, slot->pool->core->now, &since, room) : NULL;

	*seconds = (double)since / (double)SECOND;
	return method;
}

/* Tells of a kill, once for each worker. */
static void tell_killed(const struct slot *slot)
{
	struct worker *worker = worker_of(slot);
	const struct happened_about about = {.slot = slot};
	char room[DIRECT_NAME];
	double seconds;
	const char *method = method_of(slot, room, &seconds);

	if (worker->kill_told || slot->plan == PLAN_LEAVE)
		return;
	worker->kill_told = true;
	if (method)
		happened(HAPPENED_CALL_KILLED, &about, "%s, which had run for %.3f s: %s", method, seconds, slot->reason);
	else
		happened(HAPPENED_SLOT_KILLED, &about, "%s", slot->reason);
}

static void on_slot_kill(struct slot *slot)
{
	tell_killed(slot);
	worker_kill(slot);
}

enum { FULL_EVERY = 10 /* seconds between two events that say that the pool's queue is full */ };

static void on_pool_full(struct pool *pool)
{
	struct template *template = template_of(pool);

	if (pool->core->now < template->full_told)
		return;
	template->full_told = pool->core->now + FULL_EVERY * SECOND;
	happened(HAPPENED_POOL_FULL, &(struct happened_about){.pool = pool},
		 "its queue is full (max_queue = %u): calls are refused; %llu were refused so far", pool->settings.max_queue,
		 (unsigned long long)pool->counts.rejected);
}

static void on_lease_opened(const struct slot *slot, uint64_t session)
{
	happened(HAPPENED_LEASE_OPENED, &(struct happened_about){.slot = slot, .session = session},
		 "session %llu has the instance for itself", (unsigned long long)session);
}

static void on_lease_ended(const struct slot *slot, uint64_t session, const char *broken)
{
	const struct happened_about about = {.slot = slot, .session = session};

	if (broken)
		happened(HAPPENED_LEASE_BROKEN, &about, "session %llu has lost its lease: %s", (unsigned long long)session, broken);
	else
		happened(HAPPENED_LEASE_RELEASED, &about, "session %llu has given the instance back", (unsigned long long)session);
}

const struct core_ops hooks_core = {
	.client_wrote = session_on_wrote,
	.slot_wrote = worker_on_wrote,
	.slot_made = worker_make,
	.slot_start = worker_start,
	.slot_kill = on_slot_kill,
	.slot_nudge = worker_nudge,
	.slot_changed = on_slot_changed,
	.slot_free = worker_free,
	.pool_free = on_pool_free,
	.may_stick = admin_may_stick,
	.denied = admin_log_denied,
	.pool_full = on_pool_full,
	.lease_opened = on_lease_opened,
	.lease_ended = on_lease_ended,
};

/* ---- daemon_ops ---- */

static void reload_for_signal(struct daemon *daemon)
{
	char reason[RELOAD_REASON]; /* it is in the log */
	struct changes *changes = reload(daemon, reason);

	if (changes)
		changes_release(changes);
}

static void stop_for_signal(struct daemon *daemon, int number)
{
	const bool again = daemon->state != DAEMON_RUNNING;

	log_say(LOG_NOTICE, "%s: %s", strsignal(number), again ? "stopping now" : "finishing what runs, then stopping");
	stop_begin(daemon, again);
}

static bool on_signal(struct daemon *daemon, int number)
{
	switch (number) {
	case SIGTERM:
	case SIGINT:
		stop_for_signal(daemon, number);
		return true;
	case SIGHUP:
		reload_for_signal(daemon);
		return true;
	case SIGUSR1:
		if (!daemon->config.log_file)
			return false;
		log_reopen();
		return true;
	case SIGUSR2:
		pending_admin_restart_all(daemon);
		return true;
	case SIGCHLD:
		children_reap(daemon); /* several may have ended with one signal */
		return true;
	default:
		return false;
	}
}

/* A kill by the kernel, for memory, is known only when the worker has ended: then the slot's reason says so. */
static void on_worker_gone(struct worker *worker, int status)
{
	const struct slot *slot = worker->slot;

	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !slot->killed && slot->reason[0])
		tell_killed(slot);
	slowlog_on_gone(worker, status);
}

const struct daemon_ops hooks_daemon = {
	.serve = service_request,
	.stop = stop_begin,
	.signal = on_signal,
	.worker_read = slowlog_on_read,
	.worker_gone = on_worker_gone,
	.child_ended = cluster_on_child,
	.find_abroad = cluster_find_abroad,
	.break_off_call = http_break_off_greediest,
};
