/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yield: values that a method gives one by one while it runs (objpool_yield), each a result of its streamed call.
 *
 * The worker may be YIELD_AHEAD bytes ahead of what it was told has been taken (proto/channel.h); it is told so here, unless the
 * client does not read what it has been sent: then once it does. So a client that stops reading stops the method. `struct yield` is
 * in call.h.
 */
#ifndef CORE_YIELD_H
#define CORE_YIELD_H

#include "daemon/core/records/call.h"

/* The method of the batch that runs yields: none so far (size 0), or one value. 0, or -EBADMSG: it may not. */
int yield_on_value(struct batch *batch, struct span value, struct block *block);

/* The client reads again. */
void yield_resume(struct client *client);

/* Nobody waits any more: the method shall not wait for anybody either. */
void yield_cancel(struct batch *batch);

#endif
