/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/cluster/cluster.h"

#include "daemon/supervisor/cluster/abroad.h"
#include "daemon/supervisor/cluster/gateway_process.h"
#include "daemon/supervisor/cluster/link.h"
#include "daemon/supervisor/cluster/offers.h"
#include "daemon/supervisor/cluster/to_gateway.h"
#include "daemon/supervisor/config/config_cluster.h"
#include "daemon/supervisor/log/log.h"
#include "proto/gateway_link.h"

#include <errno.h>
#include <stdlib.h>

#define POOLS_EVERY (GATEWAY_POOLS_MS * MILLISECOND)
#define POOLS_AT_MOST (50 * MILLISECOND) /* between two messages about them, also when they change */
enum { LOG_LINES = 1000 /* of the gateway, in a minute */ };

#define STOOD_STILL (POOLS_EVERY + 600 * MILLISECOND) /* a daemon that comes so late to tell of its pools did not run meanwhile */

/* ---- what is told of the pools here ---- */

static void tell_pools(struct cluster *cluster)
{
	const struct daemon *daemon = cluster->daemon;

	if (link_is_open(cluster) && cluster->out.bytes < GATEWAY_AHEAD) /* a gateway that reads nothing now is told later */
		to_gateway_pools(cluster);
	cluster->pools_told = daemon->core.now;
	timer_set(&cluster->daemon->core.timers, &cluster->tell_pools, daemon->core.now + POOLS_EVERY);
}

/* Other hosts have given up a gateway that stands still, and all that it had there: it is started anew. */
static void check_gateway_lives(struct cluster *cluster)
{
	const uint64_t now = cluster->daemon->core.now;
	const int patience = cluster->spoken ? GATEWAY_PATIENCE_MS : GATEWAY_START_MS;

	if (!link_is_open(cluster))
		return;
	if (now - cluster->pools_told > STOOD_STILL)
		cluster->heard = now; /* what it has said meanwhile is read next */
	if (now - cluster->heard <= (uint64_t)patience * MILLISECOND)
		return;
	log_say(LOG_ERR, "cluster: objpool-gateway has said nothing for %d s: it is killed", patience / 1000);
	gateway_process_kill(cluster);
}

static void on_tell_pools(struct timer *timer)
{
	struct cluster *cluster = container_of(timer, struct cluster, tell_pools);

	check_gateway_lives(cluster);
	tell_pools(cluster);
}

void cluster_on_slots_changed(struct cluster *cluster)
{
	if (!cluster)
		return;
	const uint64_t soonest = cluster->pools_told + POOLS_AT_MOST, now = cluster->daemon->core.now;
	if (soonest < cluster->tell_pools.at)
		timer_set(&cluster->daemon->core.timers, &cluster->tell_pools, soonest < now ? now : soonest);
}

/* ---- entering, changing, leaving ---- */

static void set_self(struct cluster *cluster)
{
	const char *name = cluster->daemon->config.cluster.name;

	cluster->remote.self = (struct span){.bytes = (const uint8_t *)name, .size = strlen(name)};
	cluster->daemon->core.epoch++; /* what clients remember of method strings may not be so any more */
}

static struct cluster *cluster_new(struct daemon *daemon)
{
	struct cluster *cluster = calloc(1, sizeof *cluster);

	if (!cluster)
		return NULL;
	*cluster = (struct cluster){.daemon = daemon,
				    .lines.most = LOG_LINES,
				    .remote = {.offers = offers_pool,
					       .takes = offers_take,
					       .send = abroad_send,
					       .tell = abroad_tell,
					       .cancel = abroad_cancel,
					       .leave = abroad_leave}};
	TAILQ_INIT(&cluster->abroads);
	TAILQ_INIT(&cluster->held);
	TAILQ_INIT(&cluster->reading);
	daemon->core.remote = &cluster->remote;
	cluster->transport.fd = -1;
	if (gateway_process_init(cluster) < 0 || timer_open(&daemon->core.timers, &cluster->tell_pools, on_tell_pools) < 0 ||
	    offers_settle(cluster) < 0)
		return cluster_free(cluster);
	set_self(cluster);
	return cluster;
}

struct cluster *cluster_free(struct cluster *cluster)
{
	if (!cluster)
		return NULL;
	struct core *core = &cluster->daemon->core;
	gateway_process_free(cluster);
	abroad_forget_all(cluster);
	timer_close(&core->timers, &cluster->tell_pools);
	offers_free(cluster);
	idmap_free(&cluster->by_number);
	core->remote = NULL;
	core->epoch++;
	free(cluster);
	return NULL;
}

static int enter(struct daemon *daemon)
{
	daemon->cluster = cluster_new(daemon);
	if (!daemon->cluster) {
		log_say(LOG_ERR, "cluster: out of memory: this host is in none");
		return -ENOMEM;
	}
	log_say(LOG_INFO, "cluster: this is host %s of domain %s", daemon->config.cluster.name, daemon->config.cluster.domain);
	gateway_process_start(daemon->cluster);
	tell_pools(daemon->cluster);
	return 0;
}

/* Another program: the one that runs is ended, and started again from its new place. */
static int settle_program(struct cluster *cluster)
{
	char *program = gateway_process_find(&cluster->daemon->config);

	if (!program)
		return -ENOMEM;
	if (strcmp(program, cluster->program) == 0) {
		free(program);
		if (cluster->pid == 0) {
			cluster->pause = 0;
			gateway_process_start(cluster); /* what it was missing may be there now */
		}
		return 0;
	}
	free(cluster->program);
	cluster->program = program;
	if (cluster->pid > 0)
		gateway_process_kill(cluster);
	else
		gateway_process_start(cluster);
	return 0;
}

static int change(struct cluster *cluster)
{
	set_self(cluster);
	if (offers_settle(cluster) < 0 || settle_program(cluster) < 0) {
		log_say(LOG_ERR, "cluster: out of memory: the configuration is not fully in force");
		return -ENOMEM;
	}
	if (!link_is_open(cluster))
		return 0;
	to_gateway_config(cluster);
	tell_pools(cluster);
	return 0;
}

static void log_warning(const char *text)
{
	log_say(LOG_WARNING, "%s", text);
}

void cluster_warn(const struct daemon *daemon)
{
	config_warn_of_cluster(&daemon->config, log_warning);
}

int cluster_settle(struct daemon *daemon)
{
	const bool wanted = daemon->config.cluster.place != NULL;

	if (wanted)
		return daemon->cluster ? change(daemon->cluster) : enter(daemon);
	if (daemon->cluster)
		log_say(LOG_INFO, "cluster: this host is in none any more");
	daemon->cluster = cluster_free(daemon->cluster);
	return 0;
}

/* ---- turns, and the end ---- */

void cluster_end_turn(struct cluster *cluster)
{
	if (!cluster)
		return;
	abroad_end_turn(cluster);
	link_flush(cluster);
	if (cluster->broken && cluster->pid > 0)
		gateway_process_kill(cluster);
}

void cluster_drain(struct cluster *cluster)
{
	if (!cluster || cluster->draining)
		return;
	cluster->draining = true;
	if (link_is_open(cluster))
		to_gateway_drain(cluster);
}

void cluster_break_off(struct cluster *cluster)
{
	if (cluster)
		abroad_on_gateway_gone(cluster, "ends with the daemon, which stops");
}

/* It reads to the end of what it was sent, and then ends by itself. */
bool cluster_has_finished(struct cluster *cluster)
{
	if (!cluster || cluster->pid == 0)
		return true;
	if (!cluster->closing && cluster->out.bytes == 0) {
		cluster->closing = true;
		transport_shutdown(&cluster->transport, SHUT_WR);
	}
	return false;
}

uint32_t cluster_requests(const struct cluster *cluster)
{
	return cluster ? cluster->errands : 0;
}

bool cluster_on_child(struct daemon *daemon, pid_t pid, int status)
{
	return gateway_process_on_child(daemon->cluster, pid, status);
}

int cluster_find_abroad(const struct daemon *daemon, uint64_t number, struct users *users, struct known *known,
			struct rights **rights)
{
	return daemon->cluster ? abroad_find(daemon->cluster, number, users, known, rights) : -ENOENT;
}
