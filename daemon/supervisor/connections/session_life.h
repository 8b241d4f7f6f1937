/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_life: a session begins with its connection, and ends with the last of its notifications: these are carried out even
 * though their sender has gone.
 *
 *   sessions --session_close--> departed_sessions --the last notification ends--> ended_sessions --end of the turn--> freed
 */
#ifndef SUPERVISOR_SESSION_LIFE_H
#define SUPERVISOR_SESSION_LIFE_H

#include "daemon/supervisor/connections/session.h"

/* Takes over a new connection. NULL: out of memory, and it is closed. */
struct session *session_new(struct daemon *daemon, struct transport *transport, bool is_unix);

/* The same for a connection of the gateway, on behalf of somebody; takes `behalf`. */
struct session *session_new_on_behalf(struct daemon *daemon, struct transport *transport, struct behalf *behalf);

/* Closes the connection; the log says the reason, unless it is NULL. The session ends now, or with the last of its
 * notifications. */
void session_close(struct session *session, const char *reason);

/* Ends the session at once, with its notifications. */
void session_end(struct session *session);

void session_free(struct session *session);

#endif
