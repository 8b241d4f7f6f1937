/* SPDX-License-Identifier: Apache-2.0 */
/* status: what objpool.pools, objpool.status, objpool.describe and systemd's STATUS= say. */
#ifndef SUPERVISOR_STATUS_H
#define SUPERVISOR_STATUS_H

#include "daemon/supervisor/base/daemon.h"

#include <msgpack.h>

/* The keys of a pool that objpool.pools, objpool.status and the page share: name, plugin, class, and how it is. */
enum { STATUS_HEAD_KEYS = 9 };
void status_pack_head(const struct pool *pool, msgpack_packer *packer);

/* Only pools that the rights allow to be described, or seen; NULL: all. */
void status_pack_pools(const struct daemon *daemon, const struct rights *rights, msgpack_packer *packer);
void status_pack_pool_names(const struct daemon *daemon, const struct rights *rights, msgpack_packer *packer);

/* only: that pool alone; NULL: all. */
void status_pack(const struct daemon *daemon, const struct pool *only, const struct rights *rights, msgpack_packer *packer);

/* {pool, and what the template said}. -1 while it has not said it. */
int status_pack_description(const struct pool *pool, msgpack_packer *packer);

/* Of all pools. */
struct status_totals {
	uint32_t pools, slots, ready;
	const struct pool *troubled; /* the first pool whose last start failed; NULL: there is none */
};
struct status_totals status_totals(const struct daemon *daemon);

/* "2 pools, 5 of 6 instances ready", or why none is. One line: the texts of plugins in it are escaped. */
void status_line(const struct status_totals *totals, char *text, size_t size);

/* What metrics.h shows too: tasks and batches in workers' hands; direct channels; a slot's state in words; the method that runs
 * in it (NULL: none; it may be written to `room`), and for how many nanoseconds. */
uint32_t status_running_batches(const struct pool *pool);
uint32_t status_direct(const struct pool *pool);
const char *status_slot_state(const struct slot *slot);
const char *status_running(const struct slot *slot, uint64_t now, uint64_t *since, char room[DIRECT_NAME]);

/* Calls that have not ended, and direct channels, of all pools. */
uint32_t status_calls(const struct daemon *daemon);
uint32_t status_direct_channels(const struct daemon *daemon);

#endif
