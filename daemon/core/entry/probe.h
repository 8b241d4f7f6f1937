/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe: finds out whether a worker of the pool answers. A probe is a call of the method "", with a deadline, on any instance.
 * Clients can't call this method, and classes don't see it. The probe has a client of its own, without a socket, and
 * probe_is_answered says when the answer is there.
 */
#ifndef CORE_PROBE_H
#define CORE_PROBE_H

#include "daemon/core/records/client.h"

struct probe {
	struct client client;
};

/* Begins the call. `deadline` is a time of core->now. */
void probe_begin(struct probe *probe, struct pool *pool, uint64_t deadline);

static inline bool probe_is_answered(const struct probe *probe)
{
	return probe->client.out.bytes > 0 || probe->client.out.failed;
}

/* Has the worker answered without an error? If not, `reason` gets the error: "CODE: text". */
bool probe_succeeded(const struct probe *probe, char *reason, size_t size);

/* Frees what the probe holds, whether it has been answered or not. */
void probe_end(struct probe *probe);

/* Does a worker of the pool run a call that somebody waits for? Such a pool is busy, not stuck. */
bool probe_finds_busy(const struct pool *pool);

#endif
