/* SPDX-License-Identifier: Apache-2.0 */
/* answer: ends a call that has been taken out of those in flight: releases its payloads and calls its callback. */
#ifndef CLIENT_C_ANSWER_H
#define CLIENT_C_ANSWER_H

#include "client/c/connection.h"

/* Ends the call with a value, or with an error (then the value is none). */
void answer_call(struct objpool_client *client, struct pending_call *call, struct objpool_bytes value,
		 const struct objpool_error *error);

/* Ends the call with an error, and drops the caller's reference to the error. */
void answer_failure(struct objpool_client *client, struct pending_call *call, const struct objpool_error *error);

#endif
