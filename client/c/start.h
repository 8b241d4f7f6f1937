/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start: all calls begin here, those that wait and those that do not. Also the public functions that only send:
 * objpool_call_async, objpool_cancel, objpool_notify.
 */
#ifndef CLIENT_C_START_H
#define CLIENT_C_START_H

#include "client/c/client_request.h"

/*
 * Checks and packs the request with the program's options (NULL: none), and adds the call to those in flight. The caller sets
 * the call's callback and context, and its stream if it has one; start_call sets the rest. Returns 0, or what
 * objpool_call_async returns.
 */
int start_call(struct objpool_client *client, const struct client_request *request, const struct objpool_call_options *options,
	       struct pending_call *call);

/* Has a call cancelled that has just been taken out of those in flight. */
int start_cancel(struct objpool_client *client, const struct pending_call *call);

#endif
