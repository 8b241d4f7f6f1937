/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sizing: how many slots a pool has. A pool is resized by order (objpool.resize, a reload). A pool with workers_min <
 * workers_max also resizes itself: it grows while calls wait, and shrinks when its instances have been idle. A pool of size 0
 * grows with the first call.
 */
#ifndef CORE_SIZING_H
#define CORE_SIZING_H

#include "daemon/core/records/pool.h"

int sizing_init(struct pool *pool);  /* 0 or -ENOMEM */
void sizing_stop(struct pool *pool); /* also after sizing_init has failed */

/* Changes the number of slots. Slots that are removed finish their calls. 0; or -ENOMEM: the pool has not grown. */
int pool_resize(struct pool *pool, uint32_t size);

/* A call comes: gives a pool of size 0 its first slot. 0 or -ENOMEM. */
int sizing_on_call(struct pool *pool);

/* Gives a pool of size 0 a slot if tasks or leases wait in the pool. */
void sizing_on_waiting(struct pool *pool);

/* The pool has another size or other bounds: sets the timers by which it resizes itself. */
void sizing_on_resized(struct pool *pool);

/* Widens the settings' bounds so that the pool may have this size. Bounds that are equal stay equal. */
void sizing_fit(struct pool_settings *settings, uint32_t size);

/* Does the pool grow and shrink by itself? */
bool sizing_is_adaptive(const struct pool *pool);

#endif
