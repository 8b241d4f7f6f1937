/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passengers: the plain calls of a train (train.h) are answered, fail, or are given up, each by itself. The train itself is over when
 * the last of them is.
 */
#ifndef CORE_PASSENGERS_H
#define CORE_PASSENGERS_H

#include "daemon/core/records/train.h"

/* Opens their tickets, in order, up to the first that can't be opened (its msgid is in use, or there is no memory): the train ends
 * before it. Returns how many passengers it has; 0: none. */
uint32_t passengers_open(struct call *call, struct client *client);

/* The passenger that the ticket belongs to; NULL: it is none's. */
const struct passenger *passenger_of(const struct ticket *ticket);

/* Answers from a worker for the next `count` tasks of the handed batch: whole responses, which go to the client as they are. 0; or
 * -EBADMSG: they are not the responses to these calls. */
int passengers_on_responses(struct batch *batch, uint32_t count, struct span responses, struct block *block);

/* The result, or the failure, of the next task of the batch. */
void passengers_on_value(struct batch *batch, struct span value, struct block *block);
void passengers_on_failure(struct batch *batch, uint64_t index, struct error *error);

/* Fails all that have no answer yet. What an answer says about having run is found out for each. */
void passengers_fail(struct call *call, const struct error *cause);

#endif
