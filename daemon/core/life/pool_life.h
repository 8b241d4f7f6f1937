/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_life: a pool is made, takes other settings, leaves, and ends.
 *
 * A pool that leaves (it was removed, replaced, or the daemon stops) takes no new calls, finishes those it has, stops its slots
 * and is freed.
 */
#ifndef CORE_POOL_LIFE_H
#define CORE_POOL_LIFE_H

#include "daemon/core/records/pool.h"

/* A new pool of `size` slots, which are started. Returns NULL when out of memory or the name is taken. */
struct pool *pool_new(struct core *core, const char *name, uint32_t size, const struct pool_settings *settings, void *owner);

/* Takes other settings. */
void pool_set(struct pool *pool, const struct pool_settings *settings);

/* Takes the pool out of service; see above. */
void pool_leave(struct pool *pool);

/* All its instances are to end once they have done their calls: slot_expect_end for each. */
void pool_expect_end(struct pool *pool);

/* The daemon is asked to stop: no pool takes new calls, and all instances are to end once they have done what they have. */
void pool_drain_all(struct core *core);

/* Takes the pool out of service now: its calls that have no answer fail ("CODE: reason"; `reason` lives as long as the pool),
 * and methods that run are told. When they are very many, that takes several turns. A worker that has not ended after
 * stop_timeout is killed. */
void pool_drop(struct pool *pool, enum error_code code, const char *reason);

/* Fails the calls that instances have put off: nobody will come who would have them answered. */
void pool_end_deferred(struct pool *pool);

#endif
