/* SPDX-License-Identifier: Apache-2.0 */
/* shared: what other hosts are told of a pool here, and whether it has room for one more call. */
#ifndef SUPERVISOR_CLUSTER_SHARED_H
#define SUPERVISOR_CLUSTER_SHARED_H

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/config/config.h"

/* The section of a pool that is shared. NULL: it isn't, or it is leaving. */
const struct config_pool *shared_section(const struct pool *pool);

/* May a slot be called from elsewhere, and how many of them? None while the pool is paused. */
bool shared_slot_is_ready(const struct pool *pool, uint32_t index);
uint32_t shared_ready(const struct pool *pool);

/* Batches in workers' hands. A slot that is leased counts as one that has something to do. */
uint32_t shared_running(const struct pool *pool);

/* Tasks that its present instances have finished. It may also become less. */
uint64_t shared_finished(const struct pool *pool);

/* Are no slots ready, or do as many calls wait as slots are ready? Then a call is better off elsewhere. */
bool shared_is_full(const struct pool *pool);

#endif
