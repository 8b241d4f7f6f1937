/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/top_trend.h"

#include <math.h>
#include <string.h>

enum { LEVELS = 8 };

static void put(struct top_trend *trend, enum top_trend_of of, double value)
{
	trend->samples[of][trend->count % TREND_SAMPLES] = value;
}

/* Of all slots, how many run a method, as a share from 0 to 1. */
static double busy_share(const struct top_look *look)
{
	size_t busy = 0, slots = 0;

	for (size_t p = 0; p < look->count; p++) {
		slots += look->pools[p].count;
		for (size_t s = 0; s < look->pools[p].count; s++)
			busy += look->pools[p].slots[s].texts[TOP_METHOD][0] != '\0';
	}
	return slots > 0 ? (double)busy / (double)slots : NAN;
}

static double queue_length(const struct top_look *look)
{
	double queue = 0;

	for (size_t p = 0; p < look->count; p++)
		if (!isnan(look->pools[p].item.values[TOP_QUEUE]))
			queue += look->pools[p].item.values[TOP_QUEUE];
	return queue;
}

void top_trend_add(struct top_trend *trend, const struct top_look *look)
{
	put(trend, TREND_CALLS, look ? look->calls_rate : NAN);
	put(trend, TREND_BUSY, look ? busy_share(look) : NAN);
	put(trend, TREND_QUEUE, look ? queue_length(look) : NAN);
	trend->count++;
}

double top_trend_last(const struct top_trend *trend, enum top_trend_of of)
{
	return trend->count > 0 ? trend->samples[of][(trend->count - 1) % TREND_SAMPLES] : NAN;
}

/* The largest of the samples from `begin` to `end` that are still there; NaN: there are none. */
static double largest(const struct top_trend *trend, enum top_trend_of of, uint64_t begin, uint64_t end)
{
	const uint64_t oldest = trend->count > TREND_SAMPLES ? trend->count - TREND_SAMPLES : 0;
	double value = NAN;

	for (uint64_t i = begin > oldest ? begin : oldest; i < end && i < trend->count; i++)
		value = fmax(value, trend->samples[of][i % TREND_SAMPLES]);
	return value;
}

static const char *symbol(double value, double top, bool ascii)
{
	static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const plain[] = {"_", ".", ":", "-", "=", "+", "*", "#"};

	if (isnan(value))
		return " ";
	const int level = top > 0 ? (int)(value / top * LEVELS) : 0;
	return (ascii ? plain : blocks)[level < 0 ? 0 : level < LEVELS ? level : LEVELS - 1];
}

/* Cells begin at multiples of as many samples as each stands for: so a sample keeps its neighbours while the graph moves on. */
const char *top_trend_graph(const struct top_trend *trend, enum top_trend_of of, int cells, bool ascii, char text[TREND_TEXT])
{
	const uint64_t width = cells < 1 ? 1 : cells < TREND_CELLS ? (uint64_t)cells : TREND_CELLS;
	const uint64_t each = (TREND_SAMPLES + width - 1) / width, last = trend->count > 0 ? (trend->count - 1) / each : 0;
	const double most = largest(trend, of, 0, trend->count), top = of == TREND_BUSY ? 1 : most;

	char *end = text;

	for (uint64_t before = width; before-- > 0;) {
		const double value =
			before <= last ? largest(trend, of, (last - before) * each, (last - before + 1) * each) : NAN;
		end = stpcpy(end, symbol(value, top, ascii));
	}
	return text;
}
