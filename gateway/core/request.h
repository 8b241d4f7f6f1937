/* SPDX-License-Identifier: Apache-2.0 */
/* request: what clients of the own daemon say: finds what each message is, and begins the call, or tells the call that it is
 * for. */
#ifndef GATEWAY_REQUEST_H
#define GATEWAY_REQUEST_H

#include "gateway/core/session.h"

/* A whole RPC message of the session's client. `block` holds its bytes; NULL: they are gone when this returns. */
void request_take(struct session *session, struct span message, struct block *block);

/* The client is gone: all that it had is given up, but for notifications that it has sent. */
void request_close_session(struct session *session);

/* It is closed, and its last call has ended. */
void request_session_idle(struct session *session);

/* The gateway ends: all is given up at once. */
void request_abandon(struct session *session);

/* The client takes more again. */
void request_resume(struct session *session);

#endif
