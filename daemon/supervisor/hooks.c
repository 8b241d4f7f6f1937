/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/hooks.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/admin/admin.h"
#include "daemon/supervisor/admin/admin_log.h"
#include "daemon/supervisor/admin/pending_admin.h"
#include "daemon/supervisor/admin/reload.h"
#include "daemon/supervisor/admin/rollout.h"
#include "daemon/supervisor/admin/service.h"
#include "daemon/supervisor/connections/session.h"
#include "daemon/supervisor/http/http.h"
#include "daemon/supervisor/http/pool_views.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/stop.h"
#include "daemon/supervisor/workers/children.h"
#include "daemon/supervisor/workers/slowlog.h"
#include "daemon/supervisor/workers/template_forks.h"
#include "daemon/supervisor/workers/template_life.h"
#include "daemon/supervisor/workers/worker.h"

#include <signal.h>
#include <string.h>

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
	if (template_of(pool))
		template_free(template_of(pool));
	daemon->slots_changed = true;
}

const struct core_ops hooks_core = {
	.client_wrote = session_on_wrote,
	.slot_wrote = worker_on_wrote,
	.slot_made = worker_make,
	.slot_start = worker_start,
	.slot_kill = worker_kill,
	.slot_nudge = worker_nudge,
	.slot_changed = on_slot_changed,
	.slot_free = worker_free,
	.pool_free = on_pool_free,
	.may_stick = admin_may_stick,
	.denied = admin_log_denied,
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

const struct daemon_ops hooks_daemon = {
	.serve = service_request,
	.stop = stop_begin,
	.signal = on_signal,
	.worker_read = slowlog_on_read,
	.worker_gone = slowlog_on_gone,
	.break_off_call = http_break_off_greediest,
};
