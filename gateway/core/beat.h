/* SPDX-License-Identifier: Apache-2.0 */
/*
 * beat: what a host says to all others, again and again (hosts.h).
 *
 *   [version, incarnation, number, age in ms, bye, pools or nil, quiet], and a sum of it (sum.h): 8 bytes
 *
 * quiet: for so many milliseconds the host's gateway, which says this, has heard nothing of its daemon; 0: no longer than usual.
 */
#ifndef GATEWAY_BEAT_H
#define GATEWAY_BEAT_H

#include "gateway/core/base.h"
#include "gateway/core/host_pools.h"

enum { BEAT_ROOM = 96 << 10 /* bytes in a beat, at most, without the sum */ };

struct beat {
	uint64_t incarnation, number;
	uint64_t age, quiet; /* milliseconds */
	bool bye;
	struct span pools;
};

/* 0, or -EBADMSG: it is no beat, or not whole. */
int beat_read(struct span bytes, struct beat *beat);

/* Publishes a beat with these pools (NULL: it names none; beat->pools is not used). 0; or -EMSGSIZE, and *size says how large it
 * would be. A beat that is lost is followed by others. */
int beat_publish(struct gateway *gateway, const struct beat *beat, const struct host_pools *pools, size_t *size);

#endif
