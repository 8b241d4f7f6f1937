/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote_call: a request that one host answers: its numbers and the errors' form are changed on the way, nothing else. If the
 * host is lost and another may do it, because the call has not run or is idempotent, it is asked there.
 */
#ifndef GATEWAY_REMOTE_CALL_H
#define GATEWAY_REMOTE_CALL_H

#include "gateway/core/ask.h"
#include "gateway/core/session.h"

/* Begins it, or refuses it. `block` holds the message; NULL: it is gone when this returns, and the call is sent once only. 0; or
 * -EEXIST: the msgid is in use. */
int remote_call_begin(struct session *session, const struct ask *ask, struct block *block);

#endif
