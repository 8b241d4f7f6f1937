/* SPDX-License-Identifier: Apache-2.0 */
/*
 * histogram_place: into which of its places a histogram (daemon/core/base/histogram.h) counts a duration. Workers count on the
 * board what their direct channels ask, in the same places.
 */
#ifndef PROTO_HISTOGRAM_PLACE_H
#define PROTO_HISTOGRAM_PLACE_H

#include <stdint.h>

enum {
	HISTOGRAM_STEP_BITS = 2,
	HISTOGRAM_STEPS = 1 << HISTOGRAM_STEP_BITS,
	HISTOGRAM_FIRST = 10,   /* place 0 ends at 2 to this power */
	HISTOGRAM_OCTAVES = 27,
	HISTOGRAM_PLACES = HISTOGRAM_STEPS * HISTOGRAM_OCTAVES + 2,
};

static inline unsigned histogram_place(uint64_t nanoseconds)
{
	const uint64_t below = nanoseconds - 1; /* so a bound belongs to the place that it ends */

	if (nanoseconds <= UINT64_C(1) << HISTOGRAM_FIRST)
		return 0;
	const unsigned power = 63u - (unsigned)__builtin_clzll(below);
	if (power >= HISTOGRAM_FIRST + HISTOGRAM_OCTAVES)
		return HISTOGRAM_PLACES - 1;
	return 1 + (power - HISTOGRAM_FIRST) * HISTOGRAM_STEPS +
	       (unsigned)(below >> (power - HISTOGRAM_STEP_BITS)) % HISTOGRAM_STEPS;
}

#endif
