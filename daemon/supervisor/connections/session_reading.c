/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/session_reading.h"

#include "daemon/core/calls/client_end.h"
#include "daemon/supervisor/connections/session_messages.h"
#include "daemon/supervisor/connections/unread.h"
#include "daemon/supervisor/log/log.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

/* Has the peer closed both directions? On TCP, one is taken for both: its peers close both at once. */
static bool peer_is_gone(const struct session *session)
{
	struct pollfd p = {.fd = session->transport.fd, .events = POLLRDHUP};
	if (poll(&p, 1, 0) <= 0)
		return false;
	return (p.revents & (POLLHUP | POLLERR)) || (!session->is_unix && (p.revents & POLLRDHUP));
}

void session_settle(struct session *session)
{
	const bool wanted = !session->ending && !session->input_done && !session->busy && client_accepts(&session->client);
	if (session->transport.reading != wanted)
		session->looked = 0;
	(void)transport_want_read(&session->transport, wanted); /* if that fails, session_sweep tries again */
	if (!wanted && client_is_greedy(&session->client) && account_is_over(&session->daemon->core.memory))
		session->daemon->sessions_held = true; /* of a session that its user's limit holds up, session_press takes care */
}

static void on_end_of_input(struct session *session)
{
	session->input_done = true;
	if (peer_is_gone(session) || !session->is_unix)
		client_hang_up(&session->client);
	else
		client_on_input_end(&session->client);
}

static void read_more(struct session *session)
{
	const ssize_t n = intake_read(&session->intake, &session->transport, session->daemon->scratch);
	if (n == -EAGAIN)
		return;
	if (n < 0) {
		session->input_done = true;
		session_on_error(session, (int)-n);
	} else if (n == 0) {
		on_end_of_input(session);
	} else if (session_take_in(session) < 0) {
		session->ending = true;
	}
	if (session->transport.pending && !session->input_done)
		session_want_turn(session); /* no event will tell of these bytes */
	if (session->ending || session->input_done)
		session_mark_dirty(session); /* session_flush closes the connection if it is done */
}

void session_on_readable(struct transport *transport)
{
	struct session *session = container_of(transport, struct session, transport);

	daemon_tick(session->daemon);
	if (session->daemon->spent < DAEMON_TURN)
		read_more(session);
	else
		session_want_turn(session);
	session_settle(session);
}

void session_take_turn(struct session *session)
{
	session_leave_turns(session);
	if (session->ending || !client_accepts(&session->client))
		return;
	if (!session->behind) {
		if (!session->input_done)
			read_more(session);
	} else if (session_take_in(session) < 0) {
		session->ending = true;
	}
	session_mark_dirty(session); /* session_flush closes the connection if it is done */
}

void session_resume(struct session *session)
{
	if (!session->ending && session_has_more(session) && client_accepts(&session->client))
		session_want_turn(session);
	session_settle(session);
}

/* Shuts the connection down if a refused descriptor waits in it unread. Such a descriptor may be the connection's other end: the
 * connection would then never be seen to be closed. */
static bool cut_for_refused(struct session *session)
{
	if (!session->is_unix || session->busy ||
	    !unread_find_refused(session->client.account, session->transport.fd, &session->looked, session->daemon->scratch))
		return false;
	log_say(LOG_WARNING,
		"session %llu: hands over a socket, or too many files, while it is not read: the connection is closed",
		(unsigned long long)session->client.id);
	transport_shutdown(&session->transport, SHUT_RDWR);
	return true;
}

void session_sweep(struct session *session)
{
	if (session->transport.reading)
		return;
	daemon_tick(session->daemon);
	if (!session->client.hung_up && (peer_is_gone(session) || cut_for_refused(session))) {
		client_hang_up(&session->client);
		session_mark_dirty(session); /* session_flush takes in what it has sent, as far as there is room */
	}
	session_settle(session);
}
