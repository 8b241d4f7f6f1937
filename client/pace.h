/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pace: how many items a map puts into a request, and how many requests it has under way. Plain arithmetic, told the time.
 *
 * The number of items follows from the rate at which they come back: a request should take the pool some ten milliseconds. Slow
 * items go one by one, 256 requests ahead; fast ones by thousands, four requests ahead. A full queue bounds both: the number of
 * items for good, that of requests until it has gone well for a while.
 */
#ifndef CLIENT_PACE_H
#define CLIENT_PACE_H

#include <stdint.h>

struct pace {
	uint32_t batch;              /* items for the next request */
	uint32_t batch_most;         /* 0: batch is the caller's choice, and stays */
	uint32_t in_flight;          /* requests, the caller's choice; 0: none was made */
	uint32_t in_flight_most;
	uint32_t answers;            /* since in_flight_most grew last */
	int64_t since;               /* nanoseconds */
	uint64_t items;              /* answered since then */
	double rate;                 /* items per nanosecond; 0: not known yet */
};

/* `batch` and `in_flight` are 0 where the caller has no wish. */
void pace_begin(struct pace *pace, uint32_t batch, uint32_t in_flight, int64_t now);

/* How many requests may be under way. */
uint32_t pace_requests(const struct pace *pace);

/* A request of `count` items has been answered. */
void pace_answered(struct pace *pace, uint32_t count, int64_t now);

/* A request of `count` items has met a full queue, with `others` of ours in it. */
void pace_overloaded(struct pace *pace, uint32_t count, uint32_t others);

#endif
