/* SPDX-License-Identifier: Apache-2.0 */
#include "client/pace.h"

enum {
	PACE_ITEMS = 256,         /* under way, at least */
	PACE_REQUESTS = 4,        /* likewise */
	PACE_BATCH_MOST = 8192,
	PACE_REQUEST_NS = 10000000,
	PACE_SAMPLE_NS = 1000000, /* a shorter time tells nothing: many answers come with one read */
};

void pace_begin(struct pace *pace, uint32_t batch, uint32_t in_flight, int64_t now)
{
	*pace = (struct pace){
		.batch = batch ? batch : 1,
		.batch_most = batch ? 0 : PACE_BATCH_MOST,
		.in_flight = in_flight,
		.in_flight_most = UINT32_MAX,
		.since = now,
	};
}

uint32_t pace_requests(const struct pace *pace)
{
	uint32_t most = pace->in_flight;

	if (most == 0) {
		most = PACE_ITEMS / pace->batch;
		most = most < PACE_REQUESTS ? PACE_REQUESTS : most;
	}
	return most < pace->in_flight_most ? most : pace->in_flight_most;
}

/* Never more than twice as many as before: the first items may have been the easy ones. */
static void adapt_batch(struct pace *pace)
{
	const double wanted = pace->rate * PACE_REQUEST_NS;
	const uint32_t twice = 2 * pace->batch;
	const uint32_t most = twice < pace->batch_most ? twice : pace->batch_most;

	pace->batch = wanted < 1 ? 1 : wanted > most ? most : (uint32_t)wanted;
}

void pace_answered(struct pace *pace, uint32_t count, int64_t now)
{
	const int64_t passed = now - pace->since;

	pace->items += count;
	if (pace->in_flight_most < PACE_ITEMS && ++pace->answers >= pace->in_flight_most) {
		pace->in_flight_most++;
		pace->answers = 0;
	}
	if (pace->batch_most == 0 || passed < PACE_SAMPLE_NS)
		return;
	const double rate = (double)pace->items / (double)passed;
	pace->rate = pace->rate > 0 ? (pace->rate + rate) / 2 : rate;
	pace->items = 0;
	pace->since = now;
	adapt_batch(pace);
}

void pace_overloaded(struct pace *pace, uint32_t count, uint32_t others)
{
	pace->in_flight_most = others > 0 ? others : 1;
	pace->answers = 0;
	if (count < 2)
		return;
	if (pace->batch_most != 0)
		pace->batch_most = count / 2;
	if (pace->batch > count / 2)
		pace->batch = count / 2;
}
