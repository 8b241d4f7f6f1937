/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allowance: what other hosts may have of this one, so that clients here keep what is theirs: sessions, memory of the gateway,
 * and windows that are wide. A host may have as much of it as is free: alone half, of two each a third, of n each 1 / (n + 1). So
 * there is always something for a host that comes, and nothing is ever taken back.
 */
#ifndef GATEWAY_ALLOWANCE_H
#define GATEWAY_ALLOWANCE_H

#include "gateway/core/hosts.h"

/* May the host have one more session here? */
bool allowance_has_session(const struct host *host);

/* May the gateway hold more for the sessions of the host? */
bool allowance_has_memory(const struct host *host);

/* May the host send `bytes` more at once, on one of its sessions? */
bool allowance_has_window(const struct host *host, uint64_t bytes);

/* Must clients here wait or be refused? Not as long as they hold less than half of all, whatever other hosts hold. */
bool allowance_is_used_up(const struct gateway *gateway);

/* What the gateway holds, without what it holds for other hosts. */
static inline uint64_t allowance_own_memory(const struct gateway *gateway)
{
	return gateway->memory.used - gateway->others.used;
}

#endif
