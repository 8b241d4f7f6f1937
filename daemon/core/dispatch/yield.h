/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yield: a method yields values one by one while it runs (objpool_yield). Each value is a result of its streamed call.
 *
 * The worker may yield YIELD_AHEAD bytes more than it was told have been taken (proto/channel.h). This file tells it so when
 * the values have gone to the client. If the client doesn't read, it tells it once the client reads again: so a client that
 * stops reading stops the method. `struct yield` is in call.h.
 */
#ifndef CORE_YIELD_H
#define CORE_YIELD_H

#include "daemon/core/records/call.h"

/* The method that runs the batch has yielded one value; or (size 0) it says that it will yield, and has yielded none yet. 0, or
 * -EBADMSG: its caller takes no yielded values. */
int yield_on_value(struct batch *batch, struct span value, struct block *block);

/* The client reads again: the methods that wait for it may yield more. */
void yield_resume(struct client *client);

/* Nobody waits for the batch's values any more: its method must not wait for a client to read. */
void yield_cancel(struct batch *batch);

#endif
