/* SPDX-License-Identifier: Apache-2.0 */
/* histogram: how long things took, in a fixed amount of memory and to within three per cent: 32 steps to each power of two. */
#ifndef CLI_HISTOGRAM_H
#define CLI_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEPS = 32, HISTOGRAM_PLACES = 60 * HISTOGRAM_STEPS };

struct histogram {
	uint64_t places[HISTOGRAM_PLACES];
	uint64_t count, largest;
};

void histogram_add(struct histogram *histogram, uint64_t value);

/* The value that `part` (0 to 1) of all values don't exceed; 0 when there are none. */
uint64_t histogram_quantile(const struct histogram *histogram, double part);

#endif
