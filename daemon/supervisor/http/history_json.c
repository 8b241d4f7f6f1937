/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/history_json.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/base/packtext.h"

#include <stdlib.h>

enum { GRAIN = 10 /* samples of all pools that are put together: a line of the table has a small graph only */ };

/* ---- the history of a pool ---- */

static void pack_time(float seconds, msgpack_packer *packer)
{
	if (seconds < 0)
		msgpack_pack_nil(packer);
	else
		msgpack_pack_float(packer, seconds);
}

static void pack_sample(const struct history_sample *sample, msgpack_packer *packer)
{
	msgpack_pack_array(packer, 7);
	msgpack_pack_uint32(packer, sample->calls);
	msgpack_pack_uint32(packer, sample->failures);
	msgpack_pack_uint32(packer, sample->queue);
	msgpack_pack_uint16(packer, sample->busy);
	msgpack_pack_uint16(packer, sample->ready);
	pack_time(sample->p50, packer);
	pack_time(sample->p99, packer);
}

/* Two keys. */
static void pack_samples(const struct history *history, msgpack_packer *packer)
{
	static const char *const fields[] = {"calls", "failures", "queue", "busy", "ready", "p50", "p99"};

	pack_text(packer, "fields");
	msgpack_pack_array(packer, sizeof fields / sizeof *fields);
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		pack_text(packer, fields[i]);
	pack_text(packer, "samples");
	msgpack_pack_array(packer, history->count);
	for (uint32_t ago = history->count; ago > 0; ago--)
		pack_sample(history_ago(history, ago - 1), packer);
}

void history_json_pack(const struct history *history, msgpack_packer *packer)
{
	msgpack_pack_map(packer, 2);
	pack_samples(history, packer);
}

/* ---- the history of all pools ---- */

/* Calls in so many samples, the last of which is so many samples ago. */
static uint64_t sum_calls(const struct history *history, uint32_t ago, uint32_t count)
{
	uint64_t calls = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct history_sample *sample = history_ago(history, ago + i);
		calls += sample ? sample->calls : 0;
	}
	return calls;
}

static void pack_calls(const struct history *history, msgpack_packer *packer)
{
	msgpack_pack_array(packer, HISTORY_SAMPLES / GRAIN);
	for (uint32_t ago = HISTORY_SAMPLES; ago > 0; ago -= GRAIN)
		msgpack_pack_uint64(packer, sum_calls(history, ago - GRAIN, GRAIN));
}

static uint32_t count_seen(const struct pool_views *views, const struct rights *rights)
{
	const struct pool_view *view;
	uint32_t count = 0;

	TAILQ_FOREACH(view, &views->list, link)
		count += rights_may_see(rights, view->pool->name);
	return count;
}

void history_json_pack_all(const struct pool_views *views, const struct rights *rights, msgpack_packer *packer)
{
	struct history *sum = calloc(1, sizeof *sum);
	const struct pool_view *view;

	msgpack_pack_map(packer, sum ? 4 : 2);
	pair_number(packer, "step", GRAIN);
	pack_text(packer, "pools");
	msgpack_pack_map(packer, count_seen(views, rights));
	TAILQ_FOREACH(view, &views->list, link) {
		if (!rights_may_see(rights, view->pool->name))
			continue;
		pack_text(packer, view->pool->name);
		pack_calls(&view->history, packer);
		if (sum)
			history_add(sum, &view->history);
	}
	if (sum)
		pack_samples(sum, packer);
	free(sum);
}
