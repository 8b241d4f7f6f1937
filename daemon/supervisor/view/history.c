/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/view/history.h"

#include "daemon/core/calls/direct.h"
#include "daemon/core/records/methods.h"
#include "daemon/core/records/pool.h"

#include <string.h>

static uint64_t count_answered(const struct methods *methods)
{
	const struct measure *measure;
	const char *name;
	uint32_t at = 0;
	uint64_t count = 0;

	while ((measure = methods_next_measure(methods, &at, &name)))
		count += measure->calls.count;
	return count;
}

static uint64_t count_failures(const struct pool *pool)
{
	return pool->counts.failures + pool->counts.lost;
}

void history_begin(struct history *history, const struct pool *pool)
{
	methods_all_calls(&pool->methods, &history->calls);
	history->failures = count_failures(pool);
	history->count = history->next = 0;
}

/* ---- a sample ---- */

/* The calls of `now` that `before` does not have. The longest of them is not known. A pool whose class has changed forgets the
 * calls of methods that are gone. */
static void subtract(struct histogram *now, const struct histogram *before)
{
	now->count = 0;
	for (unsigned place = 0; place < HISTOGRAM_PLACES; place++) {
		const uint64_t had = before->places[place];
		now->places[place] = now->places[place] > had ? now->places[place] - had : 0;
		now->count += now->places[place];
	}
}

static void take_calls(struct history *history, const struct pool *pool, struct history_sample *sample)
{
	struct histogram all, fresh;

	sample->p50 = sample->p99 = -1;
	if (count_answered(&pool->methods) == history->calls.count)
		return; /* most pools rest most of the time */
	methods_all_calls(&pool->methods, &all);
	fresh = all;
	subtract(&fresh, &history->calls);
	history->calls = all;
	if (fresh.count == 0)
		return;
	sample->calls = fresh.count < UINT32_MAX ? (uint32_t)fresh.count : UINT32_MAX;
	sample->p50 = (float)((double)histogram_quantile(&fresh, 0.5) / 1e9);
	sample->p99 = (float)((double)histogram_quantile(&fresh, 0.99) / 1e9);
}

static void take_slots(const struct pool *pool, struct history_sample *sample)
{
	uint32_t busy = 0, ready = 0;

	for (uint32_t i = 0; i < pool->size; i++) {
		const struct slot *slot = pool->slots[i];
		busy += slot->handed_count > 0 || direct_is_busy(slot);
		ready += slot->state == SLOT_READY;
	}
	sample->busy = busy < UINT16_MAX ? (uint16_t)busy : UINT16_MAX;
	sample->ready = ready < UINT16_MAX ? (uint16_t)ready : UINT16_MAX;
}

void history_take(struct history *history, const struct pool *pool)
{
	struct history_sample *sample = &history->samples[history->next];
	const uint64_t failures = count_failures(pool), failed = failures - history->failures;

	*sample =
		(struct history_sample){.queue = pool->waiting, .failures = failed < UINT32_MAX ? (uint32_t)failed : UINT32_MAX};
	take_calls(history, pool, sample);
	take_slots(pool, sample);
	history->failures = failures;
	history->next = (history->next + 1) % HISTORY_SAMPLES;
	history->count += history->count < HISTORY_SAMPLES;
}

static uint32_t add_up(uint32_t a, uint32_t b)
{
	return a < UINT32_MAX - b ? a + b : UINT32_MAX;
}

static uint16_t add_slots(uint16_t a, uint16_t b)
{
	return a < UINT16_MAX - b ? (uint16_t)(a + b) : UINT16_MAX;
}

/* `next` of a sum is the count of its samples, so that the last sample lies before it. */
void history_add(struct history *sum, const struct history *other)
{
	if (other->count > sum->count) {
		const uint32_t more = other->count - sum->count;
		memmove(sum->samples + more, sum->samples, sum->count * sizeof *sum->samples);
		memset(sum->samples, 0, more * sizeof *sum->samples);
		sum->count = other->count;
		sum->next = sum->count % HISTORY_SAMPLES;
	}
	for (uint32_t ago = 0; ago < other->count; ago++) {
		struct history_sample *to = &sum->samples[sum->count - 1 - ago];
		const struct history_sample *from = history_ago(other, ago);
		*to = (struct history_sample){.calls = add_up(to->calls, from->calls),
					      .failures = add_up(to->failures, from->failures),
					      .queue = add_up(to->queue, from->queue),
					      .busy = add_slots(to->busy, from->busy),
					      .ready = add_slots(to->ready, from->ready),
					      .p50 = -1,
					      .p99 = -1};
	}
}

const struct history_sample *history_ago(const struct history *history, uint32_t samples)
{
	if (samples >= history->count)
		return NULL;
	return &history->samples[(history->next + HISTORY_SAMPLES - 1 - samples) % HISTORY_SAMPLES];
}
