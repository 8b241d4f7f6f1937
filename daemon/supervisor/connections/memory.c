/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/memory.h"

#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/base/procfs.h"
#include "daemon/supervisor/connections/session_life.h"
#include "daemon/supervisor/connections/session_press.h"
#include "daemon/supervisor/connections/session_reading.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- how much there is ---- */

/* memory.max of a control group; UINT64_MAX: it has none. */
static uint64_t limit_of_group(const char *group)
{
	char path[4096 + 64], text[32], *end;

	snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
	procfs_slurp(path, text, sizeof text);
	const unsigned long long limit = strtoull(text, &end, 10); /* "max" is no number */
	return end == text || limit == 0 ? UINT64_MAX : limit;
}

/* The smallest limit of the daemon's control group and the groups above it. */
static uint64_t limit_of_groups(void)
{
	char text[4096], *slash;
	uint64_t least = UINT64_MAX;

	procfs_slurp("/proc/self/cgroup", text, sizeof text);
	char *group = strstr(text, "0::/");
	if (!group)
		return least;
	group += 3;
	group[strcspn(group, "\n")] = '\0';
	for (;;) {
		const uint64_t limit = limit_of_group(group);
		least = limit < least ? limit : least;
		slash = strrchr(group, '/');
		if (!slash)
			return least;
		*slash = '\0';
	}
}

uint64_t memory_of_machine(void)
{
	const uint64_t physical = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	const uint64_t allowed = limit_of_groups();
	return allowed < physical ? allowed : physical;
}

/* ---- when it is short ---- */

enum { PATIENCE = 3 }; /* sweeps before connections are closed; calls are refused earlier */

static bool is_far_over(const struct account *all)
{
	return account_is_over(all) && all->used - all->limit > all->limit / 8;
}

static void read_again(struct daemon *daemon)
{
	struct session *session;

	daemon->sessions_held = false;
	TAILQ_FOREACH(session, &daemon->sessions, link)
		session_resume(session);
}

void memory_end_turn(struct daemon *daemon)
{
	if (account_is_over(&daemon->core.memory))
		payload_pool_clear(&daemon->payloads);
	if (daemon->sessions_held && !account_is_over(&daemon->core.memory))
		read_again(daemon);
}

/* `over`: the account that holds too much. */
static struct session *greediest_in(const struct session_list *list, const struct account *over, struct session *most)
{
	struct session *session;

	TAILQ_FOREACH(session, list, link)
		if (account_pressed_by(session->client.account) == over &&
		    (!most || session->client.account->used > most->client.account->used))
			most = session;
	return most;
}

static struct session *greediest(const struct daemon *daemon, const struct account *over)
{
	return greediest_in(&daemon->departed_sessions, over, greediest_in(&daemon->sessions, over, NULL));
}

/* Closes the session's connection. If that is closed already, ends its notifications, too. */
static void close_session(struct session *session)
{
	if (session->closed)
		session_end(session);
	else
		session_close(session, NULL);
}

/* `user` is whose account that is; NULL: it is the daemon's. */
static void close_greediest(struct daemon *daemon, const struct account *all, const char *user)
{
	struct session *session;

	while (is_far_over(all)) {
		session = greediest(daemon, all);
		if (daemon->ops->break_off_call(daemon, all, session ? session->client.account->used : 0)) {
			core_end_event(&daemon->core);
			continue;
		}
		if (!session)
			return;
		log_say(LOG_WARNING,
			"session %llu holds %llu bytes, %s%s %llu, and max_memory is %llu: closing the connection",
			(unsigned long long)session->client.id, (unsigned long long)session->client.account->used,
			user ? "user " : "the daemon", user ? user : "", (unsigned long long)all->used,
			(unsigned long long)all->limit);
		close_session(session);
		core_end_event(&daemon->core); /* gives back what its calls held */
	}
}

/* The same for each user's limit. */
static void sweep_users(struct daemon *daemon)
{
	struct quota *quota;

	for (uint32_t i = 0; daemon->users && (quota = users_quota(daemon->users, i)); i++) {
		quota->far_over = is_far_over(quota->account) ? quota->far_over + 1 : 0;
		if (quota->far_over > PATIENCE)
			close_greediest(daemon, quota->account, quota->name);
	}
}

void memory_sweep(struct daemon *daemon)
{
	struct session *session, *next;

	for (session = TAILQ_FIRST(&daemon->sessions); session; session = next) {
		next = TAILQ_NEXT(session, link);
		session_press(session);
	}
	daemon->far_over = is_far_over(&daemon->core.memory) ? daemon->far_over + 1 : 0;
	if (daemon->far_over > PATIENCE)
		close_greediest(daemon, &daemon->core.memory, NULL);
	sweep_users(daemon);
}

void memory_set_limits(struct daemon *daemon)
{
	const struct config *config = &daemon->config;
	const uint64_t max_memory = config->max_memory == CONFIG_HALF ? memory_of_machine() / 2 : config->max_memory;

	core_set_limits(&daemon->core, &(struct core_limits){.max_message = config->max_message,
							     .max_inflight = (uint32_t)config->max_inflight,
							     .max_pending = config->max_pending,
							     .max_unsent = config->max_unsent,
							     .max_memory = max_memory,
							     .payload_min = config->payload_min});
	daemon->payloads.max = max_memory > 0 && max_memory / 8 < PAYLOAD_KEPT ? (size_t)(max_memory / 8) : PAYLOAD_KEPT;
}
