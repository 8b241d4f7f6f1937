/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_trend: how calls per second, the share of busy slots and the queue have been in the last minutes, as small graphs in one
 * line: a sample for each look, in fixed memory.
 */
#ifndef CLI_TOP_TREND_H
#define CLI_TOP_TREND_H

#include "cli/top_model.h"

#include <stdbool.h>
#include <stdint.h>

enum top_trend_of { TREND_CALLS, TREND_BUSY, TREND_QUEUE, TREND_GRAPHS };

enum { TREND_SAMPLES = 180, TREND_CELLS = 120, TREND_TEXT = 3 * TREND_CELLS + 1 };

struct top_trend {
	double samples[TREND_GRAPHS][TREND_SAMPLES]; /* a ring; NaN: not known */
	uint64_t count;                              /* that there have ever been */
};

/* Adds what a look says; NULL: a look that has failed. */
void top_trend_add(struct top_trend *trend, const struct top_look *look);

/* The last sample. */
double top_trend_last(const struct top_trend *trend, enum top_trend_of of);

/*
 * The samples as characters of a line, the latest last: `cells` of them, TREND_CELLS at most. Each stands for the largest of
 * as many samples as let all fit in. Blocks, or with `ascii` characters that every terminal has.
 */
const char *top_trend_graph(const struct top_trend *trend, enum top_trend_of of, int cells, bool ascii, char text[TREND_TEXT]);

#endif
