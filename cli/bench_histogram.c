/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench_histogram.h"

enum { STEP_BITS = 5 };

/* Small values have a place each; then 32 places to the range from one power of two to the next. */
static unsigned place_of(uint64_t value)
{
	if (value < BENCH_HISTOGRAM_STEPS)
		return (unsigned)value;
	const unsigned power = 63u - (unsigned)__builtin_clzll(value);
	return (power - STEP_BITS + 1) * BENCH_HISTOGRAM_STEPS + (unsigned)(value >> (power - STEP_BITS)) % BENCH_HISTOGRAM_STEPS;
}

/* The largest value that has this place. */
static uint64_t value_at(unsigned place)
{
	if (place < BENCH_HISTOGRAM_STEPS)
		return place;
	const unsigned shift = place / BENCH_HISTOGRAM_STEPS - 1;
	return ((uint64_t)(BENCH_HISTOGRAM_STEPS + place % BENCH_HISTOGRAM_STEPS + 1) << shift) - 1;
}

void bench_histogram_add(struct bench_histogram *histogram, uint64_t value)
{
	histogram->places[place_of(value)]++;
	histogram->count++;
	if (value > histogram->largest)
		histogram->largest = value;
}

uint64_t bench_histogram_quantile(const struct bench_histogram *histogram, double part)
{
	const double wanted = part * (double)histogram->count;
	uint64_t seen = 0;

	for (unsigned place = 0; place < BENCH_HISTOGRAM_PLACES; place++) {
		seen += histogram->places[place];
		if (seen > 0 && (double)seen >= wanted) {
			const uint64_t value = value_at(place);
			return value < histogram->largest ? value : histogram->largest;
		}
	}
	return histogram->largest;
}
