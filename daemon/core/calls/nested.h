/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nested: calls that a method makes of this or another pool through its host. The instance is their client; it waits for the
 * answer, one at a time, and can do nothing else meanwhile. So the path of a call is known:
 *
 *   client -> p:0.a -> q:1.b -> (wants p:0)      would wait for itself: it is refused at once
 *
 * A nested call is refused when every instance that could do it waits, over nested calls of its own, for the instance that asks.
 * Each wait begins with a nested call, so the call that would close a circle of waits is always seen (nested_check). But a circle
 * can also close when a pool shrinks (nested_on_shrunk). When an instance begins to wait, the tasks in its hands that another
 * instance could do are taken back.
 */
#ifndef CORE_NESTED_H
#define CORE_NESTED_H

#include "daemon/core/records/call.h"
#include "daemon/core/records/slot.h"

/* The slot's method makes a call: its client is slot->nested.client from now on. */
void nested_begin(struct slot *slot);

/* Is the client an instance whose method makes the call? Such a call belongs to a call that was accepted before. */
bool nested_is(const struct client *client);

/* The session whose call led to the client's calls, over all nested calls between; a client that is no instance itself. NULL:
 * that session has gone. */
const struct client *nested_head(const struct client *client);

/* The call has its pool and place, and has not begun: may its caller wait for it? 0, or -EINVAL with *error made. */
int nested_check(const struct call *call, struct client *client, struct error *error);

/* The pool has fewer slots: a call that would have run on a removed slot may now wait for itself. Such calls fail as soon as the
 * present event is over. */
void nested_on_shrunk(struct pool *pool);

/* pool->circles fires: finds the calls that wait for themselves, in all pools, and fails them. */
void nested_on_circles(struct timer *timer);

/* The worker has gone. */
void nested_end(struct slot *slot);

#endif
