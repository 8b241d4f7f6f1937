/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direct_deferred: calls that came on a direct channel and that their methods have put off. They are answered on the channel. The
 * supervisor does not know of them: the board only says how many there are. When nobody waits for one any more, the class gets
 * OBJPOOL_GONE for it.
 */
#ifndef WORKER_DIRECT_DEFERRED_H
#define WORKER_DIRECT_DEFERRED_H

#include "daemon/worker/deferred.h"

/* objpool_host.answer */
int direct_deferred_answer(struct deferred *deferred, const void *msgpack, size_t size);

/* The client has cancelled the message of that number, whose answer may be put off: answers it with CANCELLED. */
void direct_deferred_drop(struct direct_channel *channel, uint64_t number);

/* The channel is to end: answers the calls that only wait with UNAVAILABLE. */
void direct_deferred_end_waiters(struct direct_channel *channel);

/* Nobody reads the channel's answers. */
void direct_deferred_drop_all(struct direct_channel *channel);

#endif
