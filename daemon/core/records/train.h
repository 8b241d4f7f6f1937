/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train: plain calls (pool.method with arguments, no options) of one client on one method that came in one read. They stand in one
 * struct call, one task for each, and go to workers verbatim; each is a passenger, with a ticket of its own, and is answered by
 * itself. What is rare (a failure, a cancel, the death of a worker) costs a train more than as many single calls; what is common
 * costs much less.
 *
 *   the client's bytes:   [0, 7, "p.m", [..]] [0, 8, "p.m", [..]] [0, 9, "p.m", [..]]
 *   passengers:            ^ at, size          ^                   ^
 *   tasks of the call:     0                   1                   2
 */
#ifndef CORE_TRAIN_H
#define CORE_TRAIN_H

#include "daemon/core/records/call.h"

enum {
	TRAIN_CALLS = 64,        /* passengers, at most */
	TRAIN_REQUEST = 1 << 10, /* bytes of a request that travels in a train */
};

/* A plain request, as it was found among bytes that wait. */
struct plain_request {
	uint32_t msgid;
	uint32_t size; /* bytes, whole */
};

/* A new call for these requests, which begin at `bytes`; it keeps a copy. It has no tickets, pool or batches yet. NULL: out of
 * memory. */
struct call *train_new(struct client *client, const uint8_t *bytes, const struct plain_request *requests, uint32_t count);

/* Which task of the call is it? */
static inline uint32_t passenger_index(const struct passenger *passenger)
{
	return (uint32_t)(passenger - passenger->call->train->passengers);
}

#endif
