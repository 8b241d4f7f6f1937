/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause: a pool whose instances get no calls for a while. What runs ends; what comes, or has not begun, waits. Deadlines, cancels
 * and max_queue hold as ever. Leases are not granted, direct channels are closed, and the pool neither grows nor shrinks. Calls that
 * come from inside the pool go on: a method of it waits for them, and could not end otherwise. A pool that leaves, and the daemon
 * when it stops, resume first: what was accepted is carried out.
 */
#ifndef CORE_PAUSE_H
#define CORE_PAUSE_H

#include "daemon/core/records/pool.h"

/* Both may be called in any state of the pool. */
void pool_pause(struct pool *pool);
void pool_resume(struct pool *pool);

/* Does nothing run in the pool? While it is paused, ops->slot_changed is called when this may have become true. */
bool pool_rests(const struct pool *pool);

#endif
