/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passengers: the plain calls of a train (call.h) are answered, fail, or are given up, each by itself. The call that stands
 * for the train ends with the last of them.
 */
#ifndef CORE_PASSENGERS_H
#define CORE_PASSENGERS_H

#include "daemon/core/records/call.h"

/* Opens the tickets of the passengers, in order. The train is cut off before the first ticket that can't be opened (its msgid
 * is in use, or there is no memory). Returns how many passengers are left. */
uint32_t passengers_open(struct call *call, struct client *client);

/* The passenger whose ticket this is. NULL: the ticket is of another kind. */
const struct passenger *passenger_of(const struct ticket *ticket);

/* A worker has answered the next `count` tasks of the batch with whole responses, which go to the client as they are. 0; or
 * -EBADMSG: these are not the responses to these calls. */
int passengers_on_responses(struct batch *batch, uint32_t count, struct span responses, struct block *block);

/* A worker has sent the result, or the failure, of the next task of the batch. */
void passengers_on_value(struct batch *batch, struct span value, struct block *block);
void passengers_on_failure(struct batch *batch, uint64_t index, struct error *error);

/* Fails all passengers that have no answer yet. Each error's `ran` is found out for its passenger; `cause` gives the rest. */
void passengers_fail(struct call *call, const struct error *cause);

#endif
