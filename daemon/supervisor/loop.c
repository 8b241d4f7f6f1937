/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/loop.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/life/pool_life.h"
#include "daemon/core/life/successor.h"
#include "daemon/supervisor/admin/admin.h"
#include "daemon/supervisor/workers/children.h"
#include "daemon/supervisor/base/closer.h"
#include "daemon/supervisor/connections/descriptors.h"
#include "daemon/supervisor/view/http.h"
#include "daemon/supervisor/workers/keeper.h"
#include "daemon/supervisor/connections/listener.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/connections/memory.h"
#include "daemon/supervisor/admin/pending_admin.h"
#include "daemon/supervisor/base/procfs.h"
#include "daemon/supervisor/admin/reload.h"
#include "daemon/supervisor/admin/rollout.h"
#include "daemon/supervisor/admin/service.h"
#include "daemon/supervisor/connections/session.h"
#include "daemon/supervisor/base/signals.h"
#include "daemon/supervisor/workers/slowlog.h"
#include "daemon/supervisor/base/spawn.h"
#include "daemon/supervisor/view/status.h"
#include "daemon/supervisor/view/systemd.h"
#include "daemon/supervisor/workers/template_forks.h"
#include "daemon/supervisor/workers/template_life.h"
#include "daemon/supervisor/workers/worker.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define READY_AT_LATEST (5 * SECOND) /* READY=1 waits so long for constructors */
#define LAST_ANSWERS (2 * SECOND)    /* at the very end, for clients that are slow to read */

static const struct timeval half_a_second = {.tv_usec = 500000};

/* ---- the core's actions ---- */

static struct daemon *daemon_of(const struct pool *pool)
{
	return container_of(pool->core, struct daemon, core);
}

/* A successor serves once it has taken the place. */
static void log_changed(const struct slot *slot)
{
	struct worker *worker = slot->owner;

	if (slot->state != SLOT_READY || slot->predecessor || worker->announced)
		return;
	worker->announced = true;
	log_slot(LOG_INFO, slot, "ready, pid %lld, generation %llu", (long long)slot->pid, (unsigned long long)slot->generation);
}

static void on_slot_changed(struct slot *slot)
{
	daemon_of(slot->pool)->slots_changed = true;
	if (slot->state == SLOT_READY)
		template_on_start_worked(slot->pool->owner, ((const struct worker *)slot->owner)->template_life);
	log_changed(slot);
}

static void on_pool_free(struct pool *pool)
{
	struct daemon *daemon = daemon_of(pool);
	pending_admin_on_pool_gone(daemon, pool);
	rollouts_on_pool_gone(daemon, pool);
	log_pool(LOG_INFO, pool, "stopped");
	if (pool->owner)
		template_free(pool->owner);
	daemon->slots_changed = true;
}

static const struct core_ops core_ops = {
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
};

/* ---- stopping ---- */

static void close_listeners(struct daemon *daemon)
{
	struct listener *listener;
	while ((listener = TAILQ_FIRST(&daemon->listeners)))
		listener_close(listener);
}

/* The daemon's own Unix sockets stay: so one can ask what it still waits for. Connections to a socket that systemd has passed
 * wait in it for the next daemon, and TCP ports are free for it. */
static void close_listeners_for_next(struct daemon *daemon)
{
	struct listener *listener, *next;

	for (listener = TAILQ_FIRST(&daemon->listeners); listener; listener = next) {
		next = TAILQ_NEXT(listener, link);
		if (listener->passed || !address_is_unix(&listener->bound))
			listener_close(listener);
	}
}

/* Before READY=1, too: a service that ends without it has failed to start, and systemd would start it again. */
static void say_stopping(struct daemon *daemon)
{
	if (!daemon->ready)
		systemd_ready(daemon);
	daemon->ready = true;
	systemd_stopping();
	systemd_status(daemon);
}

/* Ends the pool now: every caller gets an answer, and busy workers are killed. The slots leave first; else their workers would
 * be started again. */
static void break_off(struct pool *pool)
{
	struct slot *slot;

	pool_drop(pool, ERROR_UNAVAILABLE, "the daemon stops");
	TAILQ_FOREACH(slot, &pool->detached, link)
		if (slot->handed_count > 0)
			worker_kill(slot);
}

static void begin_stopping(struct daemon *daemon)
{
	struct pool *pool;

	if (daemon->state >= DAEMON_STOPPING)
		return;
	daemon->state = DAEMON_STOPPING;
	daemon->stop_at = 0;
	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		break_off(pool);
}

static void stop(struct daemon *daemon, bool now)
{
	if (daemon->state == DAEMON_RUNNING) {
		daemon->state = DAEMON_DRAINING;
		daemon->stop_at = daemon->config.drain_timeout == NEVER ? NEVER : daemon->core.now + daemon->config.drain_timeout;
		say_stopping(daemon);
		close_listeners_for_next(daemon);
		pool_drain_all(&daemon->core);
	}
	if (now)
		begin_stopping(daemon);
}

static bool has_unsent(const struct daemon *daemon)
{
	const struct session *session;
	TAILQ_FOREACH(session, &daemon->sessions, link)
		if (session->client.out.bytes > 0)
			return true;
	return false;
}

/* From draining to stopping to done. */
static void go_on_stopping(struct daemon *daemon)
{
	if (daemon->state == DAEMON_DRAINING && (status_calls(daemon) == 0 || daemon->core.now >= daemon->stop_at))
		begin_stopping(daemon);
	if (daemon->state != DAEMON_STOPPING || !TAILQ_EMPTY(&daemon->core.pools))
		return;
	if (!daemon->stop_at)
		daemon->stop_at = daemon->core.now + LAST_ANSWERS;
	if (!has_unsent(daemon) || daemon->core.now >= daemon->stop_at)
		daemon->state = DAEMON_DONE;
}

/* ---- what others have the loop do ---- */

static void reload_for_signal(struct daemon *daemon)
{
	char fault[RELOAD_FAULT]; /* it is in the log */
	struct changes *changes = reload(daemon, fault);

	if (changes)
		changes_release(changes);
}

static void stop_for_signal(struct daemon *daemon, int number)
{
	const bool again = daemon->state != DAEMON_RUNNING;

	log_say(LOG_NOTICE, "%s: %s", strsignal(number), again ? "stopping now" : "finishing what runs, then stopping");
	stop(daemon, again);
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

static const struct daemon_ops daemon_ops = {
	.serve = service_request,
	.stop = stop,
	.signal = on_signal,
	.worker_read = slowlog_on_read,
	.worker_gone = slowlog_on_gone,
};

/* ---- starting ---- */

static void on_timer(evutil_socket_t fd, short what, void *data)
{
	struct daemon *daemon = data;
	uint64_t times;

	(void)what;
	if (read(fd, &times, sizeof times) == sizeof times)
		daemon->timer_at = UINT64_MAX;
	daemon_tick(daemon); /* what is due is fired when the turn ends */
}

/* Instances over max_rss are replaced, one of a pool at a time, and none that is so large from the start. */
static void recycle_large(struct pool *pool)
{
	const struct template *template = pool->owner;
	const uint64_t most = template->section.max_rss;

	if (most == 0 || pool->leaving)
		return;
	for (uint32_t i = 0; i < pool->size; i++) {
		struct slot *slot = pool->slots[i];
		if (slot->state != SLOT_READY || slot->tasks == 0 || pool->core->now - slot->since < SECOND ||
		    procfs_read(slot->pid).own <= most)
			continue;
		if (!slot->successor && successor_recycle(slot))
			log_slot(LOG_INFO, slot, "over max_rss: a successor is built");
		return;
	}
}

static void on_sweep(evutil_socket_t fd, short what, void *data)
{
	struct daemon *daemon = data;
	struct session *session, *next;
	struct pool *pool;

	(void)fd, (void)what;
	daemon_tick(daemon);
	for (session = TAILQ_FIRST(&daemon->sessions); session; session = next) {
		next = TAILQ_NEXT(session, link);
		session_sweep(session);
	}
	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		recycle_large(pool);
	memory_sweep(daemon);
	if (daemon->state != DAEMON_RUNNING)
		systemd_status(daemon); /* how many calls are left */
	payload_trim(&daemon->payloads);
	loans_trim(&daemon->loans);
	keeper_tidy(daemon->keeper);
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
	daemon->sweep = event_new(daemon->base, -1, EV_PERSIST, on_sweep, daemon);
	daemon->closed = event_new(daemon->base, closer_fd(), EV_READ | EV_PERSIST, on_closed, NULL);
	if (!daemon->timer || event_add(daemon->timer, NULL) < 0 || !daemon->closed || event_add(daemon->closed, NULL) < 0)
		return -1;
	return daemon->sweep && event_add(daemon->sweep, &half_a_second) == 0 ? 0 : -1;
}

static int make_base(struct daemon *daemon)
{
	struct event_config *config = event_config_new();
	if (!config)
		return -1;
	(void)event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
	daemon->base = event_base_new_with_config(config);
	event_config_free(config);
	return daemon->base ? 0 : -1;
}

static int find_worker_program(struct daemon *daemon)
{
	daemon->worker_program = spawn_find_worker(daemon->config.worker_program);
	if (daemon->worker_program && access(daemon->worker_program, X_OK) == 0)
		return 0;
	log_say(LOG_ERR, "can't run %s: %s", daemon->worker_program ? daemon->worker_program : "objpool-worker", strerror(errno));
	return -1;
}

static void init_lists(struct daemon *daemon)
{
	TAILQ_INIT(&daemon->listeners);
	TAILQ_INIT(&daemon->sessions);
	TAILQ_INIT(&daemon->dirty_sessions);
	TAILQ_INIT(&daemon->busy_sessions);
	TAILQ_INIT(&daemon->departed_sessions);
	TAILQ_INIT(&daemon->ended_sessions);
	TAILQ_INIT(&daemon->dirty_workers);
	TAILQ_INIT(&daemon->pending_admin);
	TAILQ_INIT(&daemon->rollouts);
}

static int set_up_process(struct daemon *daemon)
{
	if (getrandom(&idmap_salt, sizeof idmap_salt, 0) != sizeof idmap_salt)
		idmap_salt = daemon->core.now;
	(void)mallopt(M_TRIM_THRESHOLD, 16 << 20); /* the heap must not shrink and grow with every burst */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
		log_say(LOG_ERR, "can't become the subreaper of the workers: %s", strerror(errno));
		return -1;
	}
	if (find_worker_program(daemon) < 0)
		return -1;
	daemon->keeper = keeper_new(daemon->worker_program);
	return daemon->keeper ? 0 : -1;
}

int loop_init(struct daemon *daemon, struct config *config, const char *path, char *const *listen, uint32_t listen_count)
{
	struct listener *listener;
	struct http *http = NULL;
	char fault[512];

	*daemon = (struct daemon){.ops = &daemon_ops,
				  .config = *config,
				  .config_path = path,
				  .extra_listen = listen,
				  .extra_listen_count = listen_count};
	*config = (struct config){0};
	init_lists(daemon);
	core_init(&daemon->core, &core_ops, &(struct core_limits){0});
	daemon_set_trace(daemon);
	daemon_tick(daemon);
	daemon->started = daemon->core.now;
	TAILQ_INIT(&daemon->loans);
	payload_pool_init(&daemon->payloads, &daemon->core.memory);
	daemon->payloads.close = closer_put;
	memory_set_limits(daemon);
	daemon->scratch = block_new(NULL, INTAKE_SCRATCH);
	if (!daemon->scratch || make_base(daemon) < 0 || add_events(daemon) < 0) {
		log_say(LOG_ERR, "can't set up the event loop: %s", strerror(errno));
		return -1;
	}
	descriptors_raise(daemon);
	descriptors_share(daemon);
	if (set_up_process(daemon) < 0)
		return -1;
	if (systemd_adopt_sockets(daemon, fault, sizeof fault) < 0 ||
	    reload_open_listeners(daemon, &daemon->config, fault, sizeof fault) < 0 ||
	    http_open(daemon, &daemon->config, &http, fault, sizeof fault) < 0) {
		log_say(LOG_ERR, "%s", fault);
		return -1;
	}
	http_use(daemon, http);
	if (reload_start_pools(daemon) < 0)
		return -1;
	TAILQ_FOREACH(listener, &daemon->listeners, link)
		listener_start(listener);
	systemd_start_watchdog(daemon);
	return 0;
}

/* ---- the loop ---- */

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
	systemd_ready(daemon);
}

static void run_templates(struct daemon *daemon)
{
	struct pool *pool, *next;

	daemon->forks_wanted = false;
	for (pool = TAILQ_FIRST(&daemon->core.pools); pool; pool = next) {
		next = TAILQ_NEXT(pool, link);
		template_run(pool->owner);
	}
}

static void react_to_slots(struct daemon *daemon)
{
	daemon->slots_changed = false;
	pending_admin_run(daemon);
	rollouts_run(daemon);
	descriptors_share(daemon);
	if (daemon->ready)
		systemd_status(daemon);
}

/* Each session that waits in busy_sessions has one turn, until DAEMON_TURN is spent. */
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
	} while (!TAILQ_EMPTY(&daemon->dirty_workers) || daemon->core.endings);
}

static void free_ended(struct daemon *daemon)
{
	struct session *session;
	while ((session = TAILQ_FIRST(&daemon->ended_sessions))) {
		TAILQ_REMOVE(&daemon->ended_sessions, session, link);
		session_free(session);
	}
}

/* Sets timer_fd for the core's next deadline. It is not moved to a later one: most deadlines are cleared before they are due. A
 * timerfd, since a wait of the loop costs more with a timeout of its own. */
static void arm_timer(struct daemon *daemon)
{
	const bool at_once = daemon->slots_changed || daemon->forks_wanted || daemon->core.endings;
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
	take_turns(daemon);
	core_end_event(&daemon->core);
	if (daemon->slots_changed)
		react_to_slots(daemon);
	if (daemon->forks_wanted)
		run_templates(daemon);
	http_end_turn(daemon->http);
	if (daemon->state != DAEMON_RUNNING)
		go_on_stopping(daemon);
	flush_all(daemon);
	memory_end_turn(daemon);
	if (daemon->state != DAEMON_RUNNING)
		go_on_stopping(daemon); /* what was sent may have been the last */
	free_ended(daemon);
	get_ready(daemon);
	arm_timer(daemon);
}

int loop_run(struct daemon *daemon)
{
	end_turn(daemon);
	while (daemon->state != DAEMON_DONE) {
		const int wait = TAILQ_EMPTY(&daemon->busy_sessions) ? 0 : EVLOOP_NONBLOCK;
		if (event_base_loop(daemon->base, EVLOOP_ONCE | wait) < 0) {
			log_say(LOG_ERR, "the event loop failed: %s", strerror(errno));
			return 1;
		}
		end_turn(daemon);
	}
	log_say(LOG_INFO, "stopped");
	return daemon->exit_status;
}

/* After a start that failed, too: whatever there is. */
void loop_free(struct daemon *daemon)
{
	struct session *session;

	while ((session = TAILQ_FIRST(&daemon->sessions)))
		session_end(session);
	while ((session = TAILQ_FIRST(&daemon->departed_sessions)))
		session_end(session);
	core_end_event(&daemon->core);
	free_ended(daemon);
	close_listeners(daemon);
	daemon->http = http_close(daemon->http);
	signals_close(daemon->signals);
	if (daemon->timer)
		event_free(daemon->timer);
	if (daemon->closed)
		event_free(daemon->closed);
	if (daemon->timer_fd > 0)
		(void)close(daemon->timer_fd);
	if (daemon->sweep)
		event_free(daemon->sweep);
	if (daemon->watchdog)
		event_free(daemon->watchdog);
	daemon->slowlog = slowlog_free(daemon->slowlog);
	daemon->keeper = keeper_free(daemon->keeper);
	if (TAILQ_EMPTY(&daemon->core.pools))
		core_free(&daemon->core);
	if (daemon->base)
		event_base_free(daemon->base);
	block_unref(daemon->scratch);
	payload_pool_clear(&daemon->payloads);
	config_free(&daemon->config);
	free(daemon->worker_program);
}
