/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/descriptors.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/records/slot.h"
#include "daemon/supervisor/connections/listener.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/workers/template.h"

#include <dirent.h>
#include <sys/resource.h>

enum {
	OF_SLOT = 4,   /* board, channel, standard output and error */
	OF_THREAD = 2, /* the first two of these: of a slot whose worker is a thread */
	OF_POOL = 8,   /* its template's channel and output, and what a start needs for a moment */
	OF_HTTP = 65,  /* its listener and connections */
	RESERVE = 320, /* of an ordinary limit: files that are read, /proc, forks under way; and 253 that one message may bring */
	OWN_MAX = 1024 + 4 * 4096, /* descriptors of the daemon's own for which the limit is raised at least */
};

static uint64_t count_open(void)
{
	DIR *directory = opendir("/proc/self/fd");
	uint64_t n = 0;

	while (directory && readdir(directory))
		n++;
	if (directory)
		(void)closedir(directory);
	return n;
}

static uint64_t of_slots(uint32_t isolation, uint64_t slots)
{
	return OF_POOL + (isolation == ISOLATION_THREAD ? OF_THREAD : OF_SLOT) * slots;
}

/* What the daemon needs for all that it has now. */
static uint64_t own(const struct daemon *daemon)
{
	const struct listener *listener;
	const struct pool *pool;
	const struct slot *slot;
	uint64_t n = daemon->first_files + (daemon->config.http.text ? OF_HTTP : 0);

	TAILQ_FOREACH(listener, &daemon->listeners, link)
		n++;
	TAILQ_FOREACH(pool, &daemon->core.pools, link) {
		n += of_slots(template_of(pool)->section.isolation, pool->size);
		TAILQ_FOREACH(slot, &pool->detached, link)
			n += OF_SLOT;
	}
	return n;
}

/* What the pools of the configuration need at their largest. */
static uint64_t configured(const struct config *config)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < config->pool_count; i++) {
		const struct config_pool *pool = &config->pools[i];
		const bool grows = pool->workers_max != CONFIG_UNSET && pool->workers_max > pool->workers;
		n += of_slots(pool->isolation, grows ? pool->workers_max : pool->workers);
	}
	return n;
}

/* Descriptors that are kept free, beside those that the daemon needs for what it has now. */
static uint64_t reserve_of(uint64_t all)
{
	return all / 4 < RESERVE ? all / 4 : RESERVE;
}

/* Clients have an eighth in any case: with less than that left, it is for workers that descriptors may run out. */
static void tell_if_short(struct daemon *daemon, uint64_t needed, bool is_short)
{
	if (is_short && !daemon->files_short)
		log_say(LOG_WARNING,
			"the process may open %llu files, and its pools need %llu: when clients hold the rest, workers can't "
			"start; raise LimitNOFILE= or ulimit -n to %llu",
			(unsigned long long)daemon->files_limit, (unsigned long long)needed,
			(unsigned long long)(needed + daemon->config.max_connections));
	daemon->files_short = is_short;
}

void descriptors_share(struct daemon *daemon)
{
	const uint64_t all = daemon->files_limit, needed = own(daemon) + reserve_of(all);
	const uint64_t left = all > needed ? all - needed : 0, least = all / 8;

	daemon->core.memory.files_max = (uint32_t)(left > least ? left : least);
	tell_if_short(daemon, needed, left < least && !TAILQ_EMPTY(&daemon->core.pools));
}

void descriptors_raise(struct daemon *daemon)
{
	const uint64_t pools = 1024 + configured(&daemon->config);
	const rlim_t of_hosts = daemon->config.cluster.place ? (rlim_t)daemon->config.cluster.max_sessions : 0;
	const rlim_t wanted = (rlim_t)daemon->config.max_connections + of_hosts + (pools > OWN_MAX ? pools : OWN_MAX);
	struct rlimit limit;

	daemon->first_files = count_open();
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	}
	daemon->files_limit = limit.rlim_cur < INT32_MAX ? (uint64_t)limit.rlim_cur : INT32_MAX;
	if (daemon->files_limit < daemon->config.max_connections + reserve_of(daemon->files_limit))
		log_say(LOG_WARNING, "max_connections is %llu, but the process may open %llu files",
			(unsigned long long)daemon->config.max_connections, (unsigned long long)limit.rlim_cur);
}
