/* SPDX-License-Identifier: Apache-2.0 */
/*
 * histogram: how long things took, from a microsecond to two minutes, in a fixed amount of memory: four places to each power
 * of two. Adding finds its place with one count of leading zeros.
 *
 *   place   0            1         2         3         4        5                 108           109
 *   up to   1024 ns      1280      1536      1792      2048     2560    ...       2^37 ns       all that is longer
 */
#ifndef CORE_HISTOGRAM_H
#define CORE_HISTOGRAM_H

#include "proto/histogram_place.h"

struct histogram {
	uint64_t places[HISTOGRAM_PLACES];
	uint64_t count;
	uint64_t sum;  /* nanoseconds */
	uint64_t most; /* the longest */
};

/* Adds `count` values, each so long. */
void histogram_add(struct histogram *histogram, uint64_t nanoseconds, uint64_t count);

void histogram_merge(struct histogram *to, const struct histogram *from);

/* The longest time that belongs to the place; UINT64_MAX for the last place. */
uint64_t histogram_bound(unsigned place);

/* How many values are at most 2 to that power of nanoseconds. `power` is HISTOGRAM_FIRST to HISTOGRAM_FIRST +
 * HISTOGRAM_OCTAVES. */
uint64_t histogram_count_within(const struct histogram *histogram, unsigned power);

/* The time that `part` (0 to 1) of all values did not exceed, to within a place; 0 if there are no values. */
uint64_t histogram_quantile(const struct histogram *histogram, double part);

#endif
