/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe: does a worker of the pool answer? A call of the method "", which no client can make and no class sees, to whichever
 * instance is free, with a deadline. It has a client of its own, without a socket: whoever began it looks for the answer.
 */
#ifndef CORE_PROBE_H
#define CORE_PROBE_H

#include "daemon/core/records/client.h"

struct probe {
	struct client client;
};

/* Asks. The deadline is one of the core's clock. */
void probe_begin(struct probe *probe, struct pool *pool, uint64_t deadline);

static inline bool probe_is_answered(const struct probe *probe)
{
	return probe->client.out.bytes > 0 || probe->client.out.failed;
}

/* The answer: true, or false with "CODE: reason" in `reason`. */
bool probe_succeeded(const struct probe *probe, char *reason, size_t size);

/* Answered or not, it is over. */
void probe_end(struct probe *probe);

/* Does a worker of the pool run a call that somebody still waits for? Then it is busy, not stuck. */
bool probe_finds_busy(const struct pool *pool);

#endif
