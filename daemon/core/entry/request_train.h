/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request_train: several small plain calls of the method that the client called last, one behind the other in the bytes that
 * have come. Such calls begin together, as a train (call.h). All other requests, and requests that would be refused, come in
 * by request.h.
 */
#ifndef CORE_REQUEST_TRAIN_H
#define CORE_REQUEST_TRAIN_H

#include "daemon/core/records/call.h"

/* Begins the plain calls at the front of `waiting`, whose last message may be incomplete. Returns how many bytes it has taken
 * in, with their number in *count. Returns 0, and has taken in nothing, unless there are two plain calls at least. */
size_t request_train(struct client *client, struct span waiting, uint32_t *count);

#endif
