/* SPDX-License-Identifier: Apache-2.0 */
/* call: how calls start, for those that are more than a request and its answer. */
#ifndef CLIENT_CALL_H
#define CLIENT_CALL_H

#include "client/pending.h"

/* As arguments of a streamed map: they will be fed. */
extern const struct objpool_bytes call_fed_arguments;

/*
 * Starts a call, as objpool_call_async does: `call` has callback and context, and the stream if it is one; it gets its msgid.
 * With `lend`, large arguments stay where they are: the caller waits, and says connection_keep_lent at its end.
 */
int call_start(struct objpool *pool, const char *method, struct objpool_bytes args, const struct objpool_call_options *options,
	       struct pending_call *call, bool lend);

#endif
