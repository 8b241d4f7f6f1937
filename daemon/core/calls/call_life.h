/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_life: a call begins, is fed, is given up by its caller or at its deadline, and ends. call_answer.h answers it.
 */
#ifndef CORE_CALL_LIFE_H
#define CORE_CALL_LIFE_H

#include "daemon/core/records/call.h"

/* Opens the call's ticket, sets its timer, makes its batches, and queues them or hands them out. The columns of a map or
 * scatter begin at at[0 .. columns - 1]. 0; -EEXIST: the msgid is in use; -ENOMEM: no memory for the ticket. After an error
 * the call has been freed. */
int call_begin(struct call *call, struct client *client, const struct rpc *rpc, const uint8_t *const *at);

/* The same for a train of plain calls, whose pool, method and name are set. Returns how many of the plain calls have begun:
 * the train is cut off before the first that can't have a ticket. 0: none has begun, and the call has been freed. */
uint32_t call_begin_train(struct call *call, struct client *client);

/* The call whose ticket this is. NULL: the ticket is of another kind. */
struct call *call_of_ticket(struct ticket *ticket);

/* objpool.feed: `count` items for the call's input. objpool.feed_end: there are no more items; `error` says why the client
 * gives up, or is NULL. Both do nothing when the call has been answered or its input is closed. */
void call_feed(struct call *call, uint32_t count, struct span items, struct block *block);
void call_feed_end(struct call *call, struct error *error);

#endif
