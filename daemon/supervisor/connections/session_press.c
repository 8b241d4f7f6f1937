/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/session_press.h"

#include "daemon/supervisor/connections/session_messages.h"
#include "daemon/supervisor/connections/session_reading.h"
#include "daemon/supervisor/log/log.h"

enum { PATIENCE = 2 }; /* sweeps */

void session_press(struct session *session)
{
	struct client *client = &session->client;

	if (!client_is_greedy(client)) {
		if (session->pressed > 0 || session->behind)
			session_resume(session);
		session->pressed = 0;
		client->refused = false;
		return;
	}
	if (session->pressed < PATIENCE)
		session->pressed++;
	if (session->pressed < PATIENCE || session->ending)
		return;
	if (!client->refused)
		log_say(LOG_INFO,
			"session %llu holds %llu bytes, more than its share of max_memory: its calls are refused until it holds "
			"less",
			(unsigned long long)client->id, (unsigned long long)client->account->used);
	client->refused = true;
	const bool gives_up = intake_give_up(&session->intake);
	if ((gives_up || session->behind) && session_take_in(session) < 0)
		session->ending = true;
	session_settle(session);
	if (session->ending)
		session_mark_dirty(session);
}
