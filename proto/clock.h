/* SPDX-License-Identifier: Apache-2.0 */
/* clock: monotonic time in nanoseconds, and deadlines in it. 0 is no deadline. */
#ifndef PROTO_CLOCK_H
#define PROTO_CLOCK_H

#include <limits.h>
#include <stdint.h>
#include <time.h>

enum { CLOCK_NS_PER_MS = 1000000 };

static inline int64_t clock_now(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The same clock, read for less: it is some milliseconds behind. */
static inline int64_t clock_now_coarse(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The milliseconds until `deadline`, for poll(2); -1: no deadline. Rounded up, so that the deadline has passed after them. */
static inline int clock_ms_until(int64_t deadline)
{
	if (deadline == 0)
		return -1;
	const int64_t left = deadline - clock_now();
	if (left <= 0)
		return 0;
	const int64_t ms = (left + CLOCK_NS_PER_MS - 1) / CLOCK_NS_PER_MS;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* The earlier of two deadlines. */
static inline int64_t clock_earlier(int64_t a, int64_t b)
{
	if (a == 0 || b == 0)
		return a ? a : b;
	return a < b ? a : b;
}

#endif
