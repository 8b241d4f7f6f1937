/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/session_life.h"

#include "daemon/core/calls/client_end.h"
#include "daemon/core/life/pool_life.h"
#include "daemon/core/records/pool.h"
#include "daemon/supervisor/base/closer.h"
#include "daemon/supervisor/config/address.h"
#include "daemon/supervisor/connections/guests.h"
#include "daemon/supervisor/connections/session_identity.h"
#include "daemon/supervisor/connections/session_reading.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/transport/tls.h"
#include "daemon/supervisor/workers/template.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void log_come(const struct session *session)
{
	const struct happened_about about = {.session = session->client.id};
	const char *kind = session->behalf ? "the gateway" : session->is_unix ? "Unix socket" : session->transport.tls ? "TLS" : "TCP";
	char peer[ADDRESS_TEXT], tls[512] = "";

	if (!log_wants(LOG_DEBUG) && !happened_is_wanted(HAPPENED_CLIENT_CONNECTED))
		return;
	session_identity_peer(session, peer, sizeof peer);
	if (session->transport.tls)
		tls_describe(&session->transport, tls, sizeof tls);
	log_say(LOG_DEBUG, "session %llu: connected, %s: %s%s%s", (unsigned long long)session->client.id, kind, peer,
		tls[0] ? ", " : "", tls);
	happened(HAPPENED_CLIENT_CONNECTED, &about, "%s: %s%s%s", kind, peer, tls[0] ? ", " : "", tls);
}

static void log_refused(const struct session *session, const char *reason, int size)
{
	if (log_quota_take(&session->daemon->denials, session->daemon->core.now, DENIALS))
		log_say(LOG_INFO, "session %llu: %.*s", (unsigned long long)session->client.id, size, reason);
	happened(HAPPENED_CLIENT_REFUSED, &(struct happened_about){.session = session->client.id}, "%.*s", size, reason);
}

static const char *reason_of_end(const struct session *session)
{
	if (session->ending)
		return "the daemon has closed the connection";
	if (session->client.hung_up)
		return "the client has gone";
	return session->input_done ? "the client has ended its input, and has its answers" : "the daemon stops";
}

/* The transport's: what could not be sent can go on. */
static void on_sendable(struct transport *transport)
{
	struct session *session = container_of(transport, struct session, transport);

	daemon_tick(session->daemon);
	session_mark_dirty(session);
}

static int check_connection(struct session *session)
{
	struct client *client = &session->client;
	struct error error;

	if (!client->quota || quota_check_connection(client->quota, &error) == 0)
		return 0;
	client_answer_error(client, 0, &error);
	log_refused(session, (const char *)error.message.bytes, error.message.size < 320 ? (int)error.message.size : 320);
	return -EBUSY;
}

/* `behalf` may be NULL. */
static struct session *begin(struct daemon *daemon, struct transport *transport, bool is_unix, struct behalf *behalf)
{
	struct session *session = calloc(1, sizeof *session);
	if (!session || (transport->tls && tls_certificate(transport, &session->certificate) < 0)) {
		transport_close(transport, &daemon->core.memory);
		free(session);
		free(behalf);
		return NULL;
	}
	session->behalf = behalf;
	client_init(&session->client, &daemon->core);
	session->daemon = daemon;
	session->since = daemon->core.now;
	session->transport = *transport;
	session->is_unix = is_unix;
	session->client.arriving = daemon->state == DAEMON_RUNNING;
	session->client.counter = behalf && behalf->host[0] ? guests_counter(daemon, behalf->host) : NULL;
	intake_init(&session->intake, daemon->core.limits.max_message, session->client.account);
	intake_use_payloads(&session->intake, &daemon->payloads, daemon->core.limits.payload_min);
	if (is_unix)
		intake_expect_files(&session->intake, closer_put);
	transport_open(&session->transport, daemon->base, session_on_readable, on_sendable);
	TAILQ_INSERT_TAIL(&daemon->sessions, session, link);
	daemon->session_count++;
	daemon->behalf_count += behalf != NULL;
	account_add_file(session->client.account);
	if (session->transport.tls)
		tls_charge_to(&session->transport, session->client.account);
	log_come(session);
	if (session_identity_settle(session) < 0 || check_connection(session) < 0)
		session->ending = true;
	if (session->ending)
		session_mark_dirty(session); /* session_flush closes the connection */
	else if (session_has_more(session))
		session_want_turn(session); /* bytes that came with the end of a handshake */
	session_settle(session);
	return session;
}

struct session *session_new(struct daemon *daemon, struct transport *transport, bool is_unix)
{
	return begin(daemon, transport, is_unix, NULL);
}

struct session *session_new_on_behalf(struct daemon *daemon, struct transport *transport, struct behalf *behalf)
{
	return begin(daemon, transport, true, behalf);
}

/* Drops the pools that the client created for as long as it stays. A pool that one of its notifications is for is left. */
static void drop_pools(const struct session *session)
{
	struct pool *pool, *next;

	for (pool = TAILQ_FIRST(&session->daemon->core.pools); pool; pool = next) {
		next = TAILQ_NEXT(pool, link);
		const struct template *template = template_of(pool);
		if (template->creator == session->client.id && !pool->leaving && !client_notifies(&session->client, pool))
			pool_drop(pool, ERROR_CANCELLED, "its pool went with the client that made it");
	}
}

static void close_connection(struct session *session, const char *reason)
{
	struct daemon *daemon = session->daemon;

	log_say(LOG_DEBUG, "session %llu: disconnected: %s", (unsigned long long)session->client.id,
		reason ? reason : reason_of_end(session));
	happened(HAPPENED_CLIENT_GONE, &(struct happened_about){.session = session->client.id}, "%s",
		 reason ? reason : reason_of_end(session));
	session->closed = true;
	session_leave_turns(session);
	transport_close(&session->transport, session->client.account);
	intake_free(&session->intake);
	TAILQ_REMOVE(&daemon->sessions, session, link);
	TAILQ_INSERT_TAIL(&daemon->departed_sessions, session, link);
	daemon->session_count--;
	daemon->behalf_count -= session->behalf != NULL;
	account_remove_file(session->client.account);
}

static void end(struct session *session)
{
	struct daemon *daemon = session->daemon;

	session->over = true;
	if (session->dirty)
		TAILQ_REMOVE(&daemon->dirty_sessions, session, dirty_link);
	session->dirty = false;
	drop_pools(session);
	TAILQ_REMOVE(&daemon->departed_sessions, session, link);
	TAILQ_INSERT_TAIL(&daemon->ended_sessions, session, link); /* freed at the end of the turn: callers may still use it */
}

void session_close(struct session *session, const char *reason)
{
	if (session->over)
		return;
	if (reason)
		log_say(LOG_INFO, "session %llu: %s", (unsigned long long)session->client.id, reason);
	const bool first = !session->closed;
	if (first)
		close_connection(session, reason);
	else if (!TAILQ_EMPTY(&session->client.notifications))
		return;
	if (client_leave(&session->client))
		end(session);
	else
		drop_pools(session);
}

void session_end(struct session *session)
{
	if (!session->closed)
		close_connection(session, NULL);
	client_gone(&session->client);
	end(session);
}

void session_free(struct session *session)
{
	assert(session->over);
	certificate_free(session->certificate);
	rights_unref(session->next_rights);
	free(session->behalf);
	free(session);
}
