/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/base/histogram.h"

void histogram_add(struct histogram *histogram, uint64_t nanoseconds, uint64_t count)
{
	histogram->places[histogram_place(nanoseconds)] += count;
	histogram->count += count;
	histogram->sum += nanoseconds * count;
	if (nanoseconds > histogram->most)
		histogram->most = nanoseconds;
}

void histogram_merge(struct histogram *to, const struct histogram *from)
{
	for (unsigned place = 0; place < HISTOGRAM_PLACES; place++)
		to->places[place] += from->places[place];
	to->count += from->count;
	to->sum += from->sum;
	if (from->most > to->most)
		to->most = from->most;
}

uint64_t histogram_bound(unsigned place)
{
	if (place == 0)
		return UINT64_C(1) << HISTOGRAM_FIRST;
	if (place >= HISTOGRAM_PLACES - 1)
		return UINT64_MAX;
	const unsigned power = HISTOGRAM_FIRST + (place - 1) / HISTOGRAM_STEPS;
	return (uint64_t)(HISTOGRAM_STEPS + (place - 1) % HISTOGRAM_STEPS + 1) << (power - HISTOGRAM_STEP_BITS);
}

uint64_t histogram_count_within(const struct histogram *histogram, unsigned power)
{
	const unsigned last = (power - HISTOGRAM_FIRST) * HISTOGRAM_STEPS;
	uint64_t count = 0;

	for (unsigned place = 0; place <= last; place++)
		count += histogram->places[place];
	return count;
}

/* So far into the place as its share of the things in it. */
static uint64_t interpolate(const struct histogram *histogram, unsigned place, double share)
{
	const uint64_t bound = histogram_bound(place);
	const uint64_t from = place > 0 ? histogram_bound(place - 1) : 0;
	const uint64_t to = bound < histogram->most ? bound : histogram->most;

	return to > from ? from + (uint64_t)((double)(to - from) * share) : to;
}

uint64_t histogram_quantile(const struct histogram *histogram, double part)
{
	const double wanted = part * (double)histogram->count;
	uint64_t before = 0;

	for (unsigned place = 0; place < HISTOGRAM_PLACES; place++) {
		const uint64_t here = histogram->places[place];
		if (here > 0 && (double)(before + here) >= wanted)
			return interpolate(histogram, place, (wanted - (double)before) / (double)here);
		before += here;
	}
	return histogram->most;
}
