/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/cluster/gateway_process.h"

#include "daemon/core/records/slot.h"
#include "daemon/supervisor/base/spawn.h"
#include "daemon/supervisor/cluster/abroad.h"
#include "daemon/supervisor/cluster/link.h"
#include "daemon/supervisor/cluster/offers.h"
#include "daemon/supervisor/cluster/to_gateway.h"
#include "daemon/supervisor/config/paths.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/workers/keeper.h"
#include "daemon/supervisor/workers/lines.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_FIRST (100 * MILLISECOND)
#define PAUSE_MAX (30 * SECOND)
#define GOOD_LIFE (10 * SECOND) /* it is started at once after such a life */

char *gateway_process_find(const struct config *config)
{
	const char *configured = config->cluster.program;

	return configured ? strdup(configured) : paths_find("objpool-gateway", paths_gateway);
}

/* ---- starting ---- */

static int spawn_program(struct cluster *cluster, int channel, int printed)
{
	char *const argv[] = {(char *)"objpool-gateway", NULL};
	const struct spawn program = {.program = cluster->program,
				      .argv = argv,
				      .environment = spawn_environment(),
				      .output = printed,
				      .errors = printed,
				      .channel = channel};
	const int r = program.environment ? spawn(&program, &cluster->pid) : -ENOMEM;

	if (r == 0)
		keeper_add(cluster->daemon->keeper, cluster->pid);
	else
		cluster->pid = 0;
	return r;
}

static int start_with(struct cluster *cluster, int channel)
{
	int printed;

	cluster->printed = lines_open(cluster->daemon, LINES_GATEWAY, NULL, NULL, &printed);
	if (!cluster->printed)
		return -errno;
	const int r = spawn_program(cluster, channel, printed);
	(void)close(printed);
	if (r < 0)
		cluster->printed = lines_free(cluster->printed);
	return r;
}

/* The link is open first: what is written there goes to whichever process has the other end. */
static int start(struct cluster *cluster)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	(void)evutil_make_socket_nonblocking(ends[0]);
	int r = link_open(cluster, ends[0]);
	if (r == 0)
		r = start_with(cluster, ends[1]);
	(void)close(ends[1]);
	if (r < 0)
		link_close(cluster);
	return r;
}

static void start_later(struct cluster *cluster)
{
	cluster->pause = cluster->pause ? 2 * cluster->pause : PAUSE_FIRST;
	if (cluster->pause > PAUSE_MAX)
		cluster->pause = PAUSE_MAX;
	timer_set(&cluster->daemon->core.timers, &cluster->again, cluster->daemon->core.now + cluster->pause);
}

static void say_stopped(struct cluster *cluster)
{
	snprintf(cluster->bus_state, sizeof cluster->bus_state, "stopped");
	snprintf(cluster->bus_text, sizeof cluster->bus_text, "objpool-gateway %s", cluster->ended);
}

/* The log is told once, until it could be started. */
static void on_not_started(struct cluster *cluster, int error)
{
	snprintf(cluster->ended, sizeof cluster->ended, "could not be started (%s)", strerror(error));
	if (!cluster->complained)
		log_say(LOG_ERR, "cluster: can't run %s: %s%s", cluster->program, strerror(error),
			error == ENOENT ? "; is the package objpool-gateway installed?" : "");
	cluster->complained = true;
	say_stopped(cluster);
	start_later(cluster);
}

void gateway_process_start(struct cluster *cluster)
{
	timer_clear(&cluster->daemon->core.timers, &cluster->again);
	const int r = start(cluster);
	if (r < 0) {
		on_not_started(cluster, -r);
		return;
	}
	cluster->starts++;
	cluster->started = cluster->daemon->core.now;
	cluster->complained = cluster->draining = false;
	cluster->ended[0] = '\0';
	snprintf(cluster->bus_state, sizeof cluster->bus_state, "connecting");
	snprintf(cluster->bus_text, sizeof cluster->bus_text, "objpool-gateway starts");
	log_say(LOG_INFO, "cluster: objpool-gateway runs, pid %lld", (long long)cluster->pid);
	happened(HAPPENED_GATEWAY_STARTED, &(struct happened_about){.pid = cluster->pid}, "objpool-gateway has started");
	to_gateway_config(cluster);
	to_gateway_pools(cluster);
	cluster->pools_told = cluster->daemon->core.now;
}

static void on_again(struct timer *timer)
{
	gateway_process_start(container_of(timer, struct cluster, again));
}

/* ---- ending ---- */

void gateway_process_kill(struct cluster *cluster)
{
	cluster->broken = true;
	if (cluster->pid > 0)
		(void)kill(cluster->pid, SIGKILL);
}

static void on_ended(struct cluster *cluster)
{
	cluster->printed = lines_free(cluster->printed);
	abroad_on_gateway_gone(cluster, cluster->ended);
	link_close(cluster);
	hosts_free(&cluster->hosts);
	say_stopped(cluster);
	offers_look_at_hosts(cluster);
}

bool gateway_process_on_child(struct cluster *cluster, pid_t pid, int status)
{
	char how[96];

	if (!cluster || cluster->pid != pid)
		return false;
	const uint64_t now = cluster->daemon->core.now;
	cluster->pid = 0;
	slot_describe_status(status, how, sizeof how);
	snprintf(cluster->ended, sizeof cluster->ended, "%s%s", WIFSIGNALED(status) ? "was " : "", how);
	link_drain(cluster); /* what it has answered before it ended */
	cluster->broken = true;
	on_ended(cluster);
	if (cluster->closing)
		return true;
	log_say(LOG_WARNING, "cluster: objpool-gateway %s", cluster->ended);
	happened(HAPPENED_GATEWAY_DIED, &(struct happened_about){.pid = pid, .ended = true, .status = status},
		 "objpool-gateway %s", cluster->ended);
	if (now - cluster->started >= GOOD_LIFE)
		cluster->pause = 0;
	start_later(cluster);
	return true;
}

/* ---- */

int gateway_process_init(struct cluster *cluster)
{
	cluster->program = gateway_process_find(&cluster->daemon->config);
	cluster->transport.fd = -1;
	return cluster->program ? timer_open(&cluster->daemon->core.timers, &cluster->again, on_again) : -ENOMEM;
}

void gateway_process_free(struct cluster *cluster)
{
	cluster->closing = true;
	timer_close(&cluster->daemon->core.timers, &cluster->again);
	if (cluster->pid > 0)
		(void)kill(cluster->pid, SIGKILL);
	snprintf(cluster->ended, sizeof cluster->ended, "was ended");
	cluster->broken = true;
	on_ended(cluster);
	free(cluster->program);
}
