/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/session_writing.h"

#include "daemon/core/calls/client_end.h"
#include "daemon/supervisor/connections/session_life.h"
#include "daemon/supervisor/connections/session_reading.h"
#include "daemon/supervisor/transport/outlet.h"

#include <errno.h>
#include <string.h>

/* Has everything been sent, and will there be nothing more to send? */
static bool is_done(const struct session *session)
{
	if (session->client.out.bytes > 0)
		return false;
	return session->ending || (session->input_done && !session->behind && TAILQ_EMPTY(&session->client.tickets));
}

static void send_answers(struct session *session)
{
	const int r = outlet_flush(&session->client.out, &session->transport);

	if (r == -ENOMEM) { /* a part of an answer may have been sent: the rest is lost */
		session_close(session, strerror(ENOMEM));
		return;
	}
	if (r < 0)
		session_on_error(session, -r);
	(void)transport_want_send(&session->transport, r > 0); /* if that fails, the next answer tries again */
	if (session->client.stalled)
		client_on_sent(&session->client);
}

void session_flush(struct session *session)
{
	if (!session->closed)
		send_answers(session);
	if (session->closed || is_done(session)) {
		session_close(session, NULL);
		return;
	}
	session_resume(session); /* there may be room for messages that were held back */
}
