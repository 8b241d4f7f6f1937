/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rival: another host of this host's name. The younger of both refuses to serve; two beats in a row tell that it is no echo of a
 * process that has just ended. No clock of a host is compared with another's: an age is how long ago, by its own clock.
 */
#ifndef GATEWAY_RIVAL_H
#define GATEWAY_RIVAL_H

#include "gateway/core/beat.h"

#define RIVAL_IS_OVER (2500 * MILLISECOND) /* it has not been heard for so long */

struct rival {
	uint64_t incarnation; /* 0: there is none */
	uint64_t beat, heard; /* of its last beat: the number, and when it came */
	uint32_t beats;       /* that were heard in a row */
	uint64_t refuses;     /* when it last said that it serves nobody, as this host was there before; 0: it does not */
};

/* A beat of this host's name, and of another incarnation. Is it time to refuse to serve, as the other one was there before? */
bool rival_on_beat(struct rival *rival, const struct gateway *gateway, const struct beat *beat);

#endif
