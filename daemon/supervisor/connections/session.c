/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/session.h"

#include "daemon/core/calls/client_end.h"
#include "daemon/supervisor/log/log.h"

#include <errno.h>
#include <string.h>

void session_mark_dirty(struct session *session)
{
	if (session->dirty || session->over)
		return;
	session->dirty = true;
	TAILQ_INSERT_TAIL(&session->daemon->dirty_sessions, session, dirty_link);
}

void session_leave_turns(struct session *session)
{
	if (session->busy)
		TAILQ_REMOVE(&session->daemon->busy_sessions, session, busy_link);
	session->busy = false;
}

void session_want_turn(struct session *session)
{
	if (session->busy)
		return;
	session->busy = true;
	TAILQ_INSERT_TAIL(&session->daemon->busy_sessions, session, busy_link);
}

void session_on_wrote(struct client *client)
{
	session_mark_dirty(container_of(client, struct session, client));
}

static const char *words_for(int error)
{
	return error == EBADMSG	       ? "what it sends is no TLS that can be read"
	       : error == ECONNABORTED ? "it sends many records of TLS without data, as for other keys"
				       : strerror(error);
}

void session_on_error(struct session *session, int error)
{
	if (error != ECONNRESET && error != EPIPE)
		log_say(LOG_INFO, "session %llu: %s", (unsigned long long)session->client.id, words_for(error));
	client_hang_up(&session->client);
}
