/* SPDX-License-Identifier: Apache-2.0 */
/* bench_histogram: counts durations in a fixed amount of memory, to within three per cent: 32 steps to each power of two. */
#ifndef CLI_BENCH_HISTOGRAM_H
#define CLI_BENCH_HISTOGRAM_H

#include <stdint.h>

enum { BENCH_HISTOGRAM_STEPS = 32, BENCH_HISTOGRAM_PLACES = 60 * BENCH_HISTOGRAM_STEPS };

struct bench_histogram {
	uint64_t places[BENCH_HISTOGRAM_PLACES];
	uint64_t count, largest;
};

void bench_histogram_add(struct bench_histogram *histogram, uint64_t value);

/* The value that `part` (0 to 1) of all values do not exceed; 0 if there are no values. */
uint64_t bench_histogram_quantile(const struct bench_histogram *histogram, double part);

#endif
