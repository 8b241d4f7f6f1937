/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rollout: after a reload, replaces the instances of a pool one after the other, until all have been made by the pool's present
 * template. If the first replacement fails, the pool gets its template and settings from before the reload back. If a later one
 * fails, the rollout ends there, and the next reload goes on with the rest.
 */
#ifndef SUPERVISOR_ROLLOUT_H
#define SUPERVISOR_ROLLOUT_H

#include "daemon/supervisor/admin/changes.h"
#include "daemon/supervisor/config/config.h"
#include "daemon/supervisor/base/daemon.h"

/* Begins a rollout. Closes `change` when all instances have been replaced, or one has failed. Leased instances don't count:
 * they are replaced when they are released. */
void rollout_begin(struct daemon *daemon, struct pool *pool, struct change *change);

/* Is there an instance that a rollout should have replaced, or that can't be built? */
bool rollout_is_wanted(const struct pool *pool);

/* Gives the pool the settings and the size of `section`. A size that objpool.scale has set stays, unless the size in `before`,
 * the configuration until now, was another. Returns true if the size changes. */
bool rollout_set_size(struct pool *pool, const struct config_pool *before, const struct config_pool *section);

/* Slots have changed: goes on with all rollouts. */
void rollouts_run(struct daemon *daemon);

/* The pool goes: its rollouts end. */
void rollouts_on_pool_gone(struct daemon *daemon, struct pool *pool);

#endif
