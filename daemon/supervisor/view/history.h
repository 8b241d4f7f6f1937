/* SPDX-License-Identifier: Apache-2.0 */
/* history: what a pool did in the last ten minutes: a sample for each second, in a fixed amount of memory (15 KiB). */
#ifndef SUPERVISOR_HISTORY_H
#define SUPERVISOR_HISTORY_H

#include "daemon/core/base/histogram.h"

struct pool;

enum { HISTORY_SAMPLES = 600 };

/* Of one second. */
struct history_sample {
	uint32_t calls;       /* that were answered */
	uint32_t failures;    /* tasks that failed, or were lost */
	uint32_t queue;       /* calls that wait, at its end; likewise: */
	uint16_t busy, ready; /* slots */
	float p50, p99;       /* seconds from a call's coming to its answer; negative: no call was answered */
};

struct history {
	struct history_sample samples[HISTORY_SAMPLES];
	uint32_t count;         /* samples that are there */
	uint32_t next;          /* place of the next sample */
	struct histogram calls; /* of all calls, at the last sample; likewise: */
	uint64_t failures;
};

/* What the pool has done until now is in no sample. */
void history_begin(struct history *history, const struct pool *pool);

/* Takes a sample: what the pool has done since the last one. */
void history_take(struct history *history, const struct pool *pool);

/* Adds what another pool did in the same seconds. How long calls took is not known of a sum. */
void history_add(struct history *sum, const struct history *other);

/* The sample before so many others: 0 is the last one. NULL: there is none. */
const struct history_sample *history_ago(const struct history *history, uint32_t samples);

#endif
