/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/stop.h"

#include "daemon/core/life/pool_life.h"
#include "daemon/core/records/pool.h"
#include "daemon/supervisor/admin/event_reader.h"
#include "daemon/supervisor/cluster/cluster.h"
#include "daemon/supervisor/connections/listener.h"
#include "daemon/supervisor/connections/session.h"
#include "daemon/supervisor/http/http.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/view/status.h"
#include "daemon/supervisor/view/systemd.h"
#include "daemon/supervisor/workers/worker.h"
#include "proto/plural.h"

#define ARRIVAL   (SECOND / 2) /* how long the first calls of clients that have connected are waited for */
#define LAST_WAIT (2 * SECOND) /* at the very end, for clients that are slow to read, and for processes that were killed */

void stop_listening(struct daemon *daemon)
{
	struct listener *listener;
	while ((listener = TAILQ_FIRST(&daemon->listeners)))
		listener_close(listener);
}

/* The daemon's own Unix sockets stay open, so that `objpool status` can ask what it still waits for. The other listeners are
 * closed for the next daemon: TCP ports become free, and connections to a socket that systemd has passed wait in it. */
static void close_listeners_for_next(struct daemon *daemon)
{
	struct listener *listener, *next;

	for (listener = TAILQ_FIRST(&daemon->listeners); listener; listener = next) {
		next = TAILQ_NEXT(listener, link);
		if (listener->passed || !address_is_unix(&listener->bound))
			listener_close(listener);
	}
}

/* Says READY=1 first if it was not said yet: systemd takes a service that ends without it for one that has failed to start, and
 * would start it again. */
static void say_stopping(struct daemon *daemon)
{
	if (!daemon->ready)
		systemd_ready(daemon);
	daemon->ready = true;
	systemd_stopping();
	systemd_status(daemon);
}

/* Ends the pool now: every caller gets an answer, and busy workers are killed. pool_drop comes first: the slots leave the pool,
 * else their workers would be started again. */
static void break_off(struct pool *pool)
{
	struct slot *slot;

	pool_drop(pool, ERROR_UNAVAILABLE, "the daemon stops");
	TAILQ_FOREACH(slot, &pool->detached, link)
		if (slot->handed_count > 0 || slot->directs_count > 0)
			worker_kill(slot);
}

static void break_off_all(struct daemon *daemon)
{
	struct pool *pool;

	if (daemon->state >= DAEMON_STOPPING)
		return;
	happened(HAPPENED_DAEMON_STOPPING, NULL, "the daemon ends its pools: what has not ended is broken off");
	daemon->state = DAEMON_STOPPING;
	daemon->stop_at = 0;
	http_end_viewers(daemon->http);
	cluster_break_off(daemon->cluster);
	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		break_off(pool);
}

/* Is there a client that has connected, and not asked anything yet? One that makes a connection for each call can't know that the
 * daemon which has accepted it is about to stop: its call is taken, and waited for a moment. */
static bool has_arrivals(const struct daemon *daemon)
{
	const struct session *session;

	if (daemon->core.now >= daemon->arrivals_until)
		return false;
	TAILQ_FOREACH(session, &daemon->sessions, link)
		if (session->client.arriving)
			return true;
	return false;
}

static bool is_idle(const struct daemon *daemon)
{
	return status_calls(daemon) == 0 && cluster_requests(daemon->cluster) == 0 && status_direct_channels(daemon) == 0 && !has_arrivals(daemon);
}

void stop_begin(struct daemon *daemon, bool now)
{
	if (daemon->state == DAEMON_RUNNING) {
		const uint32_t calls = status_calls(daemon);
		happened(HAPPENED_DAEMON_DRAINING, NULL, "the daemon takes no new calls, finishes %u call%s, and stops", calls,
			 plural(calls));
		daemon->state = DAEMON_DRAINING;
		daemon->stop_at = daemon->config.drain_timeout == NEVER ? NEVER : daemon->core.now + daemon->config.drain_timeout;
		say_stopping(daemon);
		close_listeners_for_next(daemon);
		daemon->arrivals_until = daemon->core.now + ARRIVAL;
		pool_drain_all(&daemon->core);
		cluster_drain(daemon->cluster);
		daemon->slots_changed = true; /* pools that were paused go on, and requests may wait for their pause */
	}
	if (now)
		break_off_all(daemon);
}

/* Has the kernel refuse what clients on Unix sockets would send from now on: they know then that it has not run. What they have
 * sent already is read, and answered. Who has not called yet is told that the daemon stops, as long as it is there. */
static void take_no_more(struct daemon *daemon)
{
	struct session *session;
	TAILQ_FOREACH(session, &daemon->sessions, link) {
		session->shut = session->is_unix && session->client.calls > 0;
		if (session->shut)
			transport_shutdown(&session->transport, SHUT_RD);
	}
}

static bool has_unread(const struct daemon *daemon)
{
	const struct session *session;
	TAILQ_FOREACH(session, &daemon->sessions, link)
		if (session->shut && !session->input_done && !session->ending)
			return true;
	return false;
}

static bool has_unsent(const struct daemon *daemon)
{
	const struct session *session;
	TAILQ_FOREACH(session, &daemon->sessions, link)
		if (session->client.out.bytes > 0)
			return true;
	return http_is_busy(daemon->http);
}

void stop_go_on(struct daemon *daemon)
{
	if (daemon->state == DAEMON_DRAINING && (is_idle(daemon) || daemon->core.now >= daemon->stop_at))
		break_off_all(daemon);
	if (daemon->state != DAEMON_STOPPING || !TAILQ_EMPTY(&daemon->core.pools))
		return;
	if (!daemon->stop_at) {
		daemon->stop_at = daemon->core.now + LAST_WAIT;
		take_no_more(daemon);
	}
	event_readers_end_all(daemon);
	const bool sent = !has_unread(daemon) && !has_unsent(daemon) && cluster_has_finished(daemon->cluster);
	if ((sent && !daemon->cgroups.first) || daemon->core.now >= daemon->stop_at)
		daemon->state = DAEMON_DONE;
}
