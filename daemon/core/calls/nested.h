/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nested: a method calls methods of this or another pool through its host. The instance is the client of such a call. It makes
 * one at a time, and does nothing else until the answer comes. So the path of a call is known:
 *
 *   client -> p:0.a -> q:1.b -> (wants p:0)      would wait for itself: it is refused at once
 *
 * A nested call is refused when every instance that could do it waits, over nested calls of its own, for the instance that
 * calls. Each wait begins with a nested call, so nested_check sees the call that would close a circle of waits. A circle can
 * also close when a pool shrinks: nested_on_shrunk looks for it. When an instance begins to wait, the tasks in its hands that
 * another instance could do are taken back.
 */
#ifndef CORE_NESTED_H
#define CORE_NESTED_H

#include "daemon/core/records/call.h"
#include "daemon/core/records/slot.h"

/* The slot's method makes a call: sets up slot->nested.client, whose call it is, unless an earlier call of this worker did. */
void nested_begin(struct slot *slot);

/* Is the client an instance? Its calls belong to a call that was accepted before, so they are accepted also while the daemon
 * drains. */
bool nested_is(const struct client *client);

/* The session whose call led, over nested calls, to the client's calls: the client itself if it is no instance. NULL: that
 * session has gone. */
const struct client *nested_head(const struct client *client);

/* Does a method of the pool wait, over nested calls, for the calls that the client makes now? */
bool nested_comes_from(const struct client *client, const struct pool *pool);

/* The traceparent of the call whose method makes the call that comes from the client. Size 0: it has none, or the client is no
 * instance. */
struct span nested_traceparent(const struct client *client);

/* The priority of that call; 0 if it came on a direct channel. */
int8_t nested_priority(const struct client *client);

/* Checks that a call, whose pool and place are set and which has not begun, would not wait for itself. 0, or -EINVAL with *error
 * made. */
int nested_check(const struct call *call, struct client *client, struct error *error);

/* The pool has fewer slots: a call that would have run on a removed slot may now wait for itself. Such calls fail when the
 * present event is over. */
void nested_on_shrunk(struct pool *pool);

/* pool->circles fires: finds the calls that wait for themselves, in all pools, and fails them. */
void nested_on_circles(struct timer *timer);

/* The slot's worker has gone: ends its nested call. */
void nested_end(struct slot *slot);

#endif
