/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_life: a call begins, is fed, is given up by its caller or by its deadline, and ends. Its answer is call_answer.h's.
 */
#ifndef CORE_CALL_LIFE_H
#define CORE_CALL_LIFE_H

#include "daemon/core/records/call.h"

/* Opens its ticket, sets its timer, makes its batches and queues or hands them out. The columns of a map or scatter begin at
 * at[0 .. columns - 1]. 0; -EEXIST: the msgid is in use; -ENOMEM: no memory for its ticket. In both cases the call has been
 * freed. */
int call_begin(struct call *call, struct client *client, const struct rpc *rpc, const uint8_t *const *at);

/* The same for a train of plain calls, whose pool, method and name are set. Returns how many of them have begun: those before one
 * that could not be given a ticket. 0: none; the call has been freed. */
uint32_t call_begin_train(struct call *call, struct client *client);

/* The call that the ticket belongs to; NULL when it is none's. */
struct call *call_of_ticket(struct ticket *ticket);

/* objpool.feed: `count` items for a call whose input is open; objpool.feed_end: there are no more, because of `error` if it isn't
 * NULL (then it has no message of its own lifetime). */
void call_feed(struct call *call, uint32_t count, struct span items, struct block *block);
void call_feed_end(struct call *call, struct error *error);

#endif
