/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rollout: brings what a reload says of a pool to its instances: one after the other is replaced, until all have been made by the
 * pool's present template. Should the first one fail, the template and settings from before the reload take over again; should a
 * later one fail, the rollout ends there, and the next reload goes on with the rest.
 */
#ifndef SUPERVISOR_ROLLOUT_H
#define SUPERVISOR_ROLLOUT_H

#include "daemon/supervisor/admin/changes.h"
#include "daemon/supervisor/config/config.h"
#include "daemon/supervisor/base/daemon.h"

/* Begins. Closes `change` when it is known what comes of all instances but those that are leased; they follow when they are
 * given back. */
void rollout_begin(struct daemon *daemon, struct pool *pool, struct change *change);

/* Is there an instance that a rollout should have replaced, or that can't be built? */
bool rollout_is_wanted(const struct pool *pool);

/* Gives the pool the settings of `section`, and its size. A size that objpool.scale has set stays, unless the configuration's was
 * another in `before`. Returns true if the size changes. */
bool rollout_set_size(struct pool *pool, const struct config_pool *before, const struct config_pool *section);

/* Slots have changed: goes on. */
void rollouts_run(struct daemon *daemon);

/* The pool goes: its rollouts end. */
void rollouts_on_pool_gone(struct daemon *daemon, struct pool *pool);

#endif
