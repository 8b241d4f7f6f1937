/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sizing: how many slots a pool has. It is resized by order, or by itself, between workers_min and workers_max: it grows while
 * calls wait, and shrinks when its instances have been idle. A pool of size 0 grows with the first call.
 */
#ifndef CORE_SIZING_H
#define CORE_SIZING_H

#include "daemon/core/records/pool.h"

int sizing_init(struct pool *pool); /* 0 or -ENOMEM */
void sizing_stop(struct pool *pool); /* also when it could not be initialised, or only in part */

/* Changes the number of slots. Slots that are cut off finish their calls. 0; -ENOMEM: the pool has not grown. */
int pool_resize(struct pool *pool, uint32_t size);

/* A call comes: there must be an instance, or soon be one. 0 or -ENOMEM. */
int sizing_on_call(struct pool *pool);

/* Tasks or leases may wait in a pool that has no slots any more: then it gets one. */
void sizing_on_waiting(struct pool *pool);

/* The pool has another size, or other bounds. */
void sizing_on_resized(struct pool *pool);

/* Makes the settings' bounds such that the pool may have this size. Where they leave no choice, they still do so. */
void sizing_fit(struct pool_settings *settings, uint32_t size);

/* Does it grow and shrink by itself? */
bool sizing_is_adaptive(const struct pool *pool);

#endif
