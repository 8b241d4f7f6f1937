/* SPDX-License-Identifier: Apache-2.0 */
/* session_messages: takes in a client's messages. Each goes to the core or to a method of the daemon itself, or is refused. */
#ifndef SUPERVISOR_SESSION_MESSAGES_H
#define SUPERVISOR_SESSION_MESSAGES_H

#include "daemon/supervisor/connections/session.h"

/*
 * Takes in the messages that have been read, until none is left, SESSION_TURN is over (the session then waits for its next turn),
 * or the session has as much under way as it may have. 0, or a negative errno: the connection is of no more use.
 */
int session_take_in(struct session *session);

#endif
