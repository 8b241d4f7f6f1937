/* SPDX-License-Identifier: Apache-2.0 */
/* clock: waits by CLOCK_MONOTONIC in nanoseconds, the clock of call->deadline. */
#ifndef PROBE_CLOCK_H
#define PROBE_CLOCK_H

#include <errno.h>
#include <stdint.h>
#include <time.h>

static inline uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t end_of(double seconds)
{
	return now() + (uint64_t)(seconds * 1e9);
}

static inline void sleep_until(uint64_t when)
{
	const struct timespec t = {.tv_sec = (time_t)(when / 1000000000u), .tv_nsec = (long)(when % 1000000000u)};
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
		;
}

#endif
