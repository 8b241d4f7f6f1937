/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_life: a pool is made, gets other settings, leaves, and ends.
 *
 * A pool leaves when it is removed or replaced, or when the daemon stops. It takes no new calls, finishes the calls that it
 * has, stops its slots, and is freed.
 */
#ifndef CORE_POOL_LIFE_H
#define CORE_POOL_LIFE_H

#include "daemon/core/records/pool.h"

/* A new pool of `size` slots, whose workers are started. NULL: out of memory, or the name is taken. */
struct pool *pool_new(struct core *core, const char *name, uint32_t size, const struct pool_settings *settings, void *owner);

/* Gives the pool other settings. */
void pool_set(struct pool *pool, const struct pool_settings *settings);

/* Has the pool leave. */
void pool_leave(struct pool *pool);

/* Calls slot_expect_end for each slot: all instances are to end once they have done their calls. */
void pool_expect_end(struct pool *pool);

/* The daemon is asked to stop: no pool takes new calls, and all instances are to end once they have done their calls. */
void pool_drain_all(struct core *core);

/* From now on stop_timeout is this for the pool, also for workers that have been told to stop. */
void pool_set_stop_timeout(struct pool *pool, uint64_t stop_timeout);

/* Has the pool leave at once. Its calls that have no answer fail with `code` and `reason`, which must live as long as the
 * pool. Methods that run are cancelled. Very many calls fail in portions, over several turns of the loop. A worker that has
 * not ended after stop_timeout is killed. */
void pool_drop(struct pool *pool, enum error_code code, const char *reason);

/* Fails the tasks that instances have put off: no call can come any more that would have them answered. */
void pool_end_deferred(struct pool *pool);

#endif
