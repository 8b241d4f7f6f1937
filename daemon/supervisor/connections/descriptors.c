/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/descriptors.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/records/slot.h"
#include "daemon/supervisor/connections/listener.h"
#include "daemon/supervisor/log/log.h"

#include <dirent.h>
#include <sys/resource.h>

enum {
	OF_SLOT = 4,   /* board, channel, output; and a bit for its successor */
	OF_POOL = 8,   /* its template's channel and output, and what a start needs for a moment */
	OF_HTTP = 65,  /* its listener and connections */
	RESERVE = 320, /* of an ordinary limit: files that are read, /proc, forks under way; and 253 that one message may bring */
	OWN_MAX = 1024 + 4 * 4096, /* descriptors of the daemon's own for which the limit is raised */
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

static uint64_t own(const struct daemon *daemon)
{
	const struct listener *listener;
	const struct pool *pool;
	const struct slot *slot;
	uint64_t n = daemon->first_files + (daemon->config.http.text ? OF_HTTP : 0);

	TAILQ_FOREACH(listener, &daemon->listeners, link)
		n++;
	TAILQ_FOREACH(pool, &daemon->core.pools, link) {
		n += OF_POOL + (uint64_t)OF_SLOT * pool->size;
		TAILQ_FOREACH(slot, &pool->detached, link)
			n += OF_SLOT;
	}
	return n;
}

/* Descriptors that are kept free, beside those that the daemon needs for what it has now. */
static uint64_t reserve_of(uint64_t all)
{
	return all / 4 < RESERVE ? all / 4 : RESERVE;
}

void descriptors_share(struct daemon *daemon)
{
	const uint64_t all = daemon->files_limit, needed = own(daemon) + reserve_of(all);
	const uint64_t left = all > needed ? all - needed : 0, least = all / 8;

	daemon->core.memory.files_max = (uint32_t)(left > least ? left : least);
}

void descriptors_raise(struct daemon *daemon)
{
	const rlim_t wanted = (rlim_t)daemon->config.max_connections + OWN_MAX;
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
