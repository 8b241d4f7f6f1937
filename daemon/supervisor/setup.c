/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/setup.h"

#include "daemon/supervisor/admin/reload.h"
#include "daemon/supervisor/base/closer.h"
#include "daemon/supervisor/base/identity.h"
#include "daemon/supervisor/base/pidfile.h"
#include "daemon/supervisor/base/signals.h"
#include "daemon/supervisor/base/spawn.h"
#include "daemon/supervisor/cluster/cluster.h"
#include "daemon/supervisor/connections/descriptors.h"
#include "daemon/supervisor/connections/guests.h"
#include "daemon/supervisor/connections/handshake.h"
#include "daemon/supervisor/connections/listener.h"
#include "daemon/supervisor/connections/memory.h"
#include "daemon/supervisor/connections/session_life.h"
#include "daemon/supervisor/hooks.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/loop.h"
#include "daemon/supervisor/stop.h"
#include "daemon/supervisor/transport/tls_context.h"
#include "daemon/supervisor/http/http.h"
#include "daemon/supervisor/http/pool_views.h"
#include "daemon/supervisor/users/users.h"
#include "daemon/supervisor/view/systemd.h"
#include "daemon/supervisor/workers/keeper.h"
#include "daemon/supervisor/workers/slowlog.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

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
	TAILQ_INIT(&daemon->guests);
	TAILQ_INIT(&daemon->dirty_workers);
	TAILQ_INIT(&daemon->pending_admin);
	TAILQ_INIT(&daemon->rollouts);
	TAILQ_INIT(&daemon->event_readers);
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
	return find_worker_program(daemon);
}

static int open_pidfile(struct daemon *daemon, char *reason, size_t size)
{
	const char *path = daemon->config.pid_file;

	if (path)
		daemon->pidfile = pidfile_open(path, reason, size);
	return path && !daemon->pidfile ? -1 : 0;
}

static int use_log_file(const struct config *config, char *reason, size_t size)
{
	const int r = config->log_file ? log_use_file(config->log_file) : 0;

	if (r < 0)
		snprintf(reason, size, "%s: log_file = %s: %s", config_place(config, &config->log_file), config->log_file,
			 strerror(-r));
	return r;
}

/* What needs root has been done: from here on the daemon is its user's, who will also open the log anew. */
static int leave_root(struct daemon *daemon)
{
	char reason[512];

	if (open_pidfile(daemon, reason, sizeof reason) < 0 || identity_take(&daemon->config, reason, sizeof reason) < 0 ||
	    use_log_file(&daemon->config, reason, sizeof reason) < 0) {
		log_say(LOG_ERR, "%s", reason);
		return -1;
	}
	daemon->keeper = keeper_new(daemon->worker_program);
	return daemon->keeper ? 0 : -1;
}

static int set_up_users(struct daemon *daemon)
{
	if (users_make(&daemon->config, &daemon->core, &daemon->users) < 0) {
		log_say(LOG_ERR, "out of memory for the users");
		return -1;
	}
	if (daemon->users)
		users_set_limits(daemon->users);
	return 0;
}

/* Fills the structure. Only what can't fail is done here. */
static void init_state(struct daemon *daemon)
{
	init_lists(daemon);
	core_init(&daemon->core, &hooks_core, &(struct core_limits){0});
	daemon_set_trace(daemon);
	daemon_tick(daemon);
	daemon->started = daemon->core.now;
	daemon->readings.succeeded = time(NULL);
	TAILQ_INIT(&daemon->loans);
	payload_pool_init(&daemon->payloads, &daemon->core.memory);
	daemon->payloads.close = closer_put;
	memory_set_limits(daemon);
}

/* Opens the addresses of MessagePack-RPC and of HTTP. */
static int open_addresses(struct daemon *daemon)
{
	struct http *http = NULL;
	char reason[512];

	if (systemd_adopt_sockets(daemon, reason, sizeof reason) < 0 ||
	    reload_open_listeners(daemon, &daemon->config, reason, sizeof reason) < 0 ||
	    http_open(daemon, &daemon->config, &http, reason, sizeof reason) < 0) {
		log_say(LOG_ERR, "%s", reason);
		return -1;
	}
	http_use(daemon, http);
	return 0;
}

int setup(struct daemon *daemon, struct config *config, struct tls_context *tls, const char *path, char *const *listen,
	  uint32_t listen_count)
{
	struct listener *listener;

	*daemon = (struct daemon){.ops = &hooks_daemon,
				  .config = *config,
				  .tls = tls,
				  .config_path = path,
				  .extra_listen = listen,
				  .extra_listen_count = listen_count};
	*config = (struct config){0};
	init_state(daemon);
	daemon->scratch = block_new(NULL, INTAKE_SCRATCH);
	daemon->handshakes = handshakes_new(daemon);
	if (!daemon->scratch || !daemon->handshakes || loop_open(daemon) < 0) {
		log_say(LOG_ERR, "can't set up the event loop: %s", strerror(errno));
		return -1;
	}
	descriptors_raise(daemon);
	descriptors_share(daemon);
	cluster_warn(daemon);
	if (set_up_process(daemon) < 0 || set_up_users(daemon) < 0 || open_addresses(daemon) < 0 ||
	    leave_root(daemon) < 0 || reload_start_pools(daemon) < 0)
		return -1;
	TAILQ_FOREACH(listener, &daemon->listeners, link)
		listener_start(listener);
	systemd_start_watchdog(daemon);
	return cluster_settle(daemon);
}

void setup_undo(struct daemon *daemon)
{
	struct session *session;

	daemon->handshakes = handshakes_free(daemon->handshakes);
	while ((session = TAILQ_FIRST(&daemon->sessions)))
		session_end(session);
	while ((session = TAILQ_FIRST(&daemon->departed_sessions)))
		session_end(session);
	daemon->cluster = cluster_free(daemon->cluster);
	core_end_event(&daemon->core);
	loop_free_ended(daemon);
	guests_free(daemon);
	stop_listening(daemon);
	daemon->http = http_close(daemon->http);
	pool_views_free(daemon->pool_views);
	daemon->tls = tls_context_free(daemon->tls);
	signals_close(daemon->signals);
	ticker_stop(&daemon->watchdog);
	daemon->slowlog = slowlog_free(daemon->slowlog);
	daemon->keeper = keeper_free(daemon->keeper);
	users_free(daemon->users);
	daemon->pidfile = pidfile_close(daemon->pidfile);
	if (TAILQ_EMPTY(&daemon->core.pools))
		core_free(&daemon->core);
	loop_close(daemon);
	block_unref(daemon->scratch);
	payload_pool_clear(&daemon->payloads);
	config_free(&daemon->config);
	free(daemon->worker_program);
	cgroups_free(&daemon->cgroups);
}
