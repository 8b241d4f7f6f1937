/* SPDX-License-Identifier: Apache-2.0 */
/* session_reading: when a connection is read. It is not read while its client has too much under way or unsent, or while it waits
 * for its turn. */
#ifndef SUPERVISOR_SESSION_READING_H
#define SUPERVISOR_SESSION_READING_H

#include "daemon/supervisor/connections/session.h"

/* The transport's: the connection can be read. */
void session_on_readable(struct transport *transport);

/* The session is the first of daemon->busy_sessions: takes in more of its messages, for SESSION_TURN at most. */
void session_take_turn(struct session *session);

/* Begins or stops to read, as the session's state says. */
void session_settle(struct session *session);

/* The session may have room again: messages that were held back get a turn, and it is read. */
void session_resume(struct session *session);

/* Called twice a second: looks whether the peer of a session that is not read has gone. */
void session_sweep(struct session *session);

#endif
