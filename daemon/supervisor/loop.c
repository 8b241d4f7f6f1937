/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/loop.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/admin/event_reader.h"
#include "daemon/supervisor/admin/pending_admin.h"
#include "daemon/supervisor/admin/rollout.h"
#include "daemon/supervisor/base/closer.h"
#include "daemon/supervisor/cluster/cluster.h"
#include "daemon/supervisor/base/signals.h"
#include "daemon/supervisor/connections/descriptors.h"
#include "daemon/supervisor/connections/memory.h"
#include "daemon/supervisor/connections/session_life.h"
#include "daemon/supervisor/connections/session_reading.h"
#include "daemon/supervisor/connections/session_writing.h"
#include "daemon/supervisor/connections/handshake.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/stop.h"
#include "daemon/supervisor/sweep.h"
#include "daemon/supervisor/http/http.h"
#include "daemon/supervisor/view/status.h"
#include "daemon/supervisor/view/systemd.h"
#include "daemon/supervisor/workers/template_forks.h"
#include "daemon/supervisor/workers/worker.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define READY_AT_LATEST (5 * SECOND) /* READY=1 waits for constructors for so long */

#define SWEEP_EVERY (SECOND / 2)

/* ---- events ---- */

static void on_timer(evutil_socket_t fd, short what, void *data)
{
	struct daemon *daemon = data;
	uint64_t times;

	(void)what;
	if (read(fd, &times, sizeof times) == sizeof times)
		daemon->timer_at = UINT64_MAX;
	daemon_tick(daemon); /* end_turn runs the timers that are due */
}

static void on_sweep(void *data)
{
	struct daemon *daemon = data;

	daemon_tick(daemon);
	sweep(daemon);
}

static void on_closed(evutil_socket_t fd, short what, void *data)
{
	(void)fd, (void)what, (void)data;
	closer_settle();
}

static int add_events(struct daemon *daemon)
{
	if (!(daemon->signals = signals_open(daemon)))
		return -1;
	daemon->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	daemon->timer_at = UINT64_MAX;
	if (daemon->timer_fd < 0)
		return -1;
	daemon->timer = event_new(daemon->base, daemon->timer_fd, EV_READ | EV_PERSIST, on_timer, daemon);
	daemon->closed = event_new(daemon->base, closer_fd(), EV_READ | EV_PERSIST, on_closed, NULL);
	if (!daemon->timer || event_add(daemon->timer, NULL) < 0 || !daemon->closed || event_add(daemon->closed, NULL) < 0)
		return -1;
	return ticker_start(&daemon->sweep, daemon->base, SWEEP_EVERY, on_sweep, daemon);
}

static int make_base(struct daemon *daemon)
{
	struct event_config *config = event_config_new();
	if (!config)
		return -1;
	(void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_NO_CACHE_TIME);
	daemon->base = event_base_new_with_config(config);
	event_config_free(config);
	return daemon->base ? 0 : -1;
}

int loop_open(struct daemon *daemon)
{
	return make_base(daemon) < 0 ? -1 : add_events(daemon);
}

void loop_close(struct daemon *daemon)
{
	if (daemon->timer)
		event_free(daemon->timer);
	if (daemon->closed)
		event_free(daemon->closed);
	if (daemon->timer_fd > 0)
		(void)close(daemon->timer_fd);
	ticker_stop(&daemon->sweep);
	if (daemon->base)
		event_base_free(daemon->base);
}

/* ---- a turn ---- */

static bool all_settled(const struct daemon *daemon)
{
	const struct pool *pool;
	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		for (uint32_t i = 0; i < pool->size; i++)
			if (!pool->slots[i]->broken && pool->slots[i]->state != SLOT_READY)
				return false;
	return true;
}

static void get_ready(struct daemon *daemon)
{
	char line[sizeof daemon->status];

	if (daemon->ready || daemon->state != DAEMON_RUNNING)
		return;
	if (!all_settled(daemon) && daemon->core.now - daemon->started < READY_AT_LATEST)
		return;
	daemon->ready = true;
	const struct status_totals totals = status_totals(daemon);
	status_line(&totals, line, sizeof line);
	log_say(totals.ready > 0 || totals.slots == 0 ? LOG_INFO : LOG_WARNING, "%s: %s", totals.ready > 0 ? "ready" : "started",
		line);
	happened(HAPPENED_DAEMON_STARTED, &(struct happened_about){.pid = getpid()}, "objpoold %s: %s", OBJPOOL_VERSION, line);
	systemd_ready(daemon);
}

static void run_templates(struct daemon *daemon)
{
	struct pool *pool, *next;

	daemon->forks_wanted = false;
	for (pool = TAILQ_FIRST(&daemon->core.pools); pool; pool = next) {
		next = TAILQ_NEXT(pool, link);
		template_run(template_of(pool));
	}
}

static void react_to_slots(struct daemon *daemon)
{
	daemon->slots_changed = false;
	pending_admin_run(daemon);
	rollouts_run(daemon);
	descriptors_share(daemon);
	cluster_on_slots_changed(daemon->cluster);
	if (daemon->ready)
		systemd_status(daemon);
}

/* Gives each session of busy_sessions one turn, until DAEMON_TURN is spent. */
static void take_turns(struct daemon *daemon)
{
	struct session *last = TAILQ_LAST(&daemon->busy_sessions, session_list), *session = NULL;

	daemon->spent = 0;
	while (session != last && daemon->spent < DAEMON_TURN) {
		session = TAILQ_FIRST(&daemon->busy_sessions);
		daemon_tick(daemon);
		session_take_turn(session);
	}
	daemon->spent = 0;
}

/* Frees what has ended and writes to workers and clients, until neither makes work for the other. */
static void flush_all(struct daemon *daemon)
{
	struct session *session;
	struct worker *worker;

	do {
		core_end_event(&daemon->core);
		while ((worker = TAILQ_FIRST(&daemon->dirty_workers))) {
			TAILQ_REMOVE(&daemon->dirty_workers, worker, dirty_link);
			worker->dirty = false;
			worker_flush(worker);
		}
		while ((session = TAILQ_FIRST(&daemon->dirty_sessions))) {
			TAILQ_REMOVE(&daemon->dirty_sessions, session, dirty_link);
			session->dirty = false;
			session_flush(session);
		}
		http_flush(daemon->http);
	} while (!TAILQ_EMPTY(&daemon->dirty_workers) || daemon->core.endings);
}

void loop_free_ended(struct daemon *daemon)
{
	struct session *session;
	while ((session = TAILQ_FIRST(&daemon->ended_sessions))) {
		TAILQ_REMOVE(&daemon->ended_sessions, session, link);
		session_free(session);
	}
}

/* Sets timer_fd for the core's next deadline. It is not moved to a later one: most deadlines are cleared before they are due. A
 * timerfd, for the reason that ticker.h gives. */
static void arm_timer(struct daemon *daemon)
{
	const bool at_once = daemon->slots_changed || daemon->forks_wanted || daemon->core.endings ||
			     event_readers_have_work(daemon);
	const uint64_t next = at_once ? daemon->core.now : timers_next(&daemon->core.timers);

	if (next >= daemon->timer_at)
		return;
	const struct itimerspec at = {.it_value = {.tv_sec = (time_t)(next / SECOND), .tv_nsec = (long)(next % SECOND)}};
	if (timerfd_settime(daemon->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0)
		daemon->timer_at = next;
}

enum { TIMERS_A_TURN = 2000 /* deadlines of very many calls may come at once: what others ask is done between */ };

/* What the events of this turn have caused. */
static void end_turn(struct daemon *daemon)
{
	timers_run(&daemon->core.timers, daemon->core.now, TIMERS_A_TURN);
	handshakes_end_turn(daemon->handshakes);
	take_turns(daemon);
	core_end_event(&daemon->core);
	if (daemon->slots_changed)
		react_to_slots(daemon);
	if (daemon->forks_wanted)
		run_templates(daemon);
	http_end_turn(daemon->http);
	if (daemon->state != DAEMON_RUNNING)
		stop_go_on(daemon);
	event_readers_run(daemon);
	flush_all(daemon);
	cluster_end_turn(daemon->cluster);
	memory_end_turn(daemon);
	if (daemon->state != DAEMON_RUNNING)
		stop_go_on(daemon); /* what was sent may have been the last */
	loop_free_ended(daemon);
	get_ready(daemon);
	arm_timer(daemon);
}

int loop_run(struct daemon *daemon)
{
	end_turn(daemon);
	while (daemon->state != DAEMON_DONE) {
		const bool busy = !TAILQ_EMPTY(&daemon->busy_sessions) || handshakes_have_work(daemon->handshakes) ||
				  http_has_work(daemon->http);
		const int wait = busy ? EVLOOP_NONBLOCK : 0;
		if (event_base_loop(daemon->base, EVLOOP_ONCE | wait) < 0) {
			log_say(LOG_ERR, "the event loop failed: %s", strerror(errno));
			return 1;
		}
		end_turn(daemon);
	}
	log_say(LOG_INFO, "stopped");
	return daemon->exit_status;
}
