/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/pool_views.h"

#include "daemon/core/calls/direct.h"
#include "daemon/core/records/pool.h"
#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/view/status.h"
#include "daemon/supervisor/workers/worker.h"

#include <stdlib.h>

enum {
	POOLS_MAX = 1024, /* that have a view: 16 MiB of history */
	READ_OF_ALL = 32, /* processes that are read at a drawing; and of each pool that somebody has opened: */
	READ_OF_OPENED = 64,
};

/* ---- a view for each pool ---- */

struct pool_views *pool_views_new(struct daemon *daemon)
{
	struct pool_views *views = calloc(1, sizeof *views);

	if (!views)
		return NULL;
	views->daemon = daemon;
	TAILQ_INIT(&views->list);
	return views;
}

static void set_slots(struct pool_view *view, uint32_t count)
{
	struct picture *slots;

	for (uint32_t i = count; i < view->slot_count; i++)
		picture_free(&view->slots[i]);
	if (count < view->slot_count)
		view->slot_count = count;
	if (count == 0) {
		free(view->slots);
		view->slots = NULL;
	} else if (count > view->slot_count && (slots = realloc(view->slots, count * sizeof *slots))) {
		memset(slots + view->slot_count, 0, (count - view->slot_count) * sizeof *slots);
		view->slots = slots;
		view->slot_count = count;
	}
}

static void forget(struct pool_views *views, struct pool_view *view)
{
	if (views->next == view)
		views->next = TAILQ_NEXT(view, link);
	TAILQ_REMOVE(&views->list, view, link);
	views->count--;
	views->changed = views->drawing + 1;
	set_slots(view, 0);
	picture_free(&view->picture);
	free(view);
}

void pool_views_free(struct pool_views *views)
{
	struct pool_view *view;

	if (!views)
		return;
	while ((view = TAILQ_FIRST(&views->list)))
		forget(views, view);
	free(views);
}

void pool_views_on_pool_gone(struct pool_views *views, const struct pool *pool)
{
	struct pool_view *view;

	if (!views)
		return;
	TAILQ_FOREACH(view, &views->list, link)
		if (view->pool == pool) {
			forget(views, view);
			return;
		}
}

/* False: there is no room for it. */
static bool add(struct pool_views *views, const struct pool *pool)
{
	struct pool_view *view = views->count < POOLS_MAX ? calloc(1, sizeof *view) : NULL;

	if (!view)
		return false;
	view->pool = pool;
	history_begin(&view->history, pool);
	TAILQ_INSERT_TAIL(&views->list, view, link);
	views->count++;
	views->changed = views->drawing + 1;
	return true;
}

/* New pools are the core's last, so that both lists have one order. When there is no room for the view of one, those behind it
 * have no view either: the next time all of them are tried again. */
void pool_views_settle(struct pool_views *views)
{
	struct pool_view *view = TAILQ_FIRST(&views->list), *left;
	const struct pool *pool;

	TAILQ_FOREACH(pool, &views->daemon->core.pools, link) {
		if (pool->leaving)
			continue;
		while (view && view->pool != pool) { /* it leaves */
			left = view;
			view = TAILQ_NEXT(view, link);
			forget(views, left);
		}
		if (view)
			view = TAILQ_NEXT(view, link);
		else if (!add(views, pool))
			return;
	}
	for (; view; view = left) {
		left = TAILQ_NEXT(view, link);
		forget(views, view);
	}
}

void pool_views_sample(struct pool_views *views)
{
	struct pool_view *view;

	pool_views_settle(views);
	views->sampled++;
	TAILQ_FOREACH(view, &views->list, link)
		history_take(&view->history, view->pool);
}

struct pool_view *pool_views_find(const struct pool_views *views, const char *pool)
{
	struct pool_view *view;

	TAILQ_FOREACH(view, &views->list, link)
		if (!strcmp(view->pool->name, pool))
			return view;
	return NULL;
}

/* ---- what processes use ---- */

/* Reads so many processes of the pool, from where the walk is. Returns how many it has read. */
static uint32_t walk_on(struct pool_view *view, uint32_t most)
{
	struct usage_walk *walk = &view->walk;
	uint32_t read = 0;

	while (walk->slot < view->pool->size && read < most) {
		const struct slot *slot = view->pool->slots[walk->slot++];
		if (slot->pid == 0 || slot->pid == walk->pid)
			continue;
		const struct procfs usage = worker_usage(slot);
		walk->pid = slot->pid;
		walk->rss += usage.rss;
		walk->cpu_s += usage.cpu_s;
		read++;
	}
	if (walk->slot >= view->pool->size) {
		view->rss = walk->rss;
		view->cpu_s = walk->cpu_s;
		*walk = (struct usage_walk){0};
	}
	return read;
}

static bool is_opened(const struct pool_views *views, const struct pool_view *view)
{
	return view->wanted == views->drawing;
}

static void look_at_processes(struct pool_views *views)
{
	uint32_t read = 0, pools = 0;
	struct pool_view *view;

	TAILQ_FOREACH(view, &views->list, link)
		if (is_opened(views, view))
			(void)walk_on(view, READ_OF_OPENED);
	while (read < READ_OF_ALL && pools < views->count) {
		view = views->next ? views->next : TAILQ_FIRST(&views->list);
		const bool opened = is_opened(views, view);
		if (!opened)
			read += walk_on(view, READ_OF_ALL - read);
		if (opened || view->walk.slot == 0) {
			views->next = TAILQ_NEXT(view, link);
			pools++;
		}
	}
}

/* ---- drawing ---- */

static void pair_milliseconds(const struct pool_views *views, const char *key, uint64_t time, msgpack_packer *packer)
{
	pair_number(packer, key, time > views->daemon->started ? (time - views->daemon->started) / MILLISECOND : 0);
}

/* A time that is negative is not known. */
static void pair_time(const char *key, float seconds, msgpack_packer *packer)
{
	pack_text(packer, key);
	if (seconds < 0)
		msgpack_pack_nil(packer);
	else
		msgpack_pack_float(packer, seconds);
}

static const struct slot *last_failed(const struct pool *pool)
{
	const struct slot *last = NULL;

	for (uint32_t i = 0; i < pool->size; i++)
		if (pool->slots[i]->failed_at > (last ? last->failed_at : 0))
			last = pool->slots[i];
	return last;
}

/* Three keys. */
static void pack_failure(const struct pool_views *views, const struct slot *slot, msgpack_packer *packer)
{
	pair_text(packer, "last_failure", slot ? slot->last_failure : "");
	pair_milliseconds(views, "failed_at", slot ? slot->failed_at : 0, packer);
	pair_number(packer, "failed_slot", slot ? slot->index : 0);
}

/* Five keys: of the last second. */
static void pack_sample(const struct history_sample *sample, msgpack_packer *packer)
{
	static const struct history_sample none = {.p50 = -1, .p99 = -1};

	if (!sample)
		sample = &none;
	pair_number(packer, "rate", sample->calls);
	pair_number(packer, "failing", sample->failures);
	pair_number(packer, "busy", sample->busy);
	pair_time("p50", sample->p50, packer);
	pair_time("p99", sample->p99, packer);
}

static void pack_pool(const struct pool_views *views, const struct pool_view *view, msgpack_packer *packer)
{
	const struct pool *pool = view->pool;
	uint64_t restarts = 0;

	for (uint32_t i = 0; i < pool->size; i++)
		restarts += pool->slots[i]->restarts;
	msgpack_pack_map(packer, STATUS_HEAD_KEYS + 17);
	status_pack_head(pool, packer);
	pair_number(packer, "workers_min", pool->settings.workers_min);
	pair_number(packer, "workers_max", pool->settings.workers_max);
	pair_number(packer, "calls", pool->counts.calls);
	pair_number(packer, "failures", pool->counts.failures);
	pair_number(packer, "lost", pool->counts.lost);
	pair_number(packer, "rejected", pool->counts.rejected);
	pair_number(packer, "restarts", restarts);
	pair_number(packer, "rss", view->rss);
	pack_text(packer, "cpu_s");
	msgpack_pack_double(packer, view->cpu_s);
	pack_failure(views, last_failed(pool), packer);
	pack_sample(history_ago(&view->history, 0), packer);
}

/* Two keys. */
static void pack_running(const struct pool_views *views, const struct slot *slot, msgpack_packer *packer)
{
	const uint64_t now = views->daemon->core.now;
	char room[DIRECT_NAME];
	uint64_t since = 0;

	const char *method = status_running(slot, now, &since, room);
	pair_text_or_nil(packer, "running", method);
	pair_milliseconds(views, "running_at", method ? now - since : 0, packer);
}

static void pack_slot(const struct pool_views *views, const struct slot *slot, const struct procfs *usage, msgpack_packer *packer)
{
	msgpack_pack_map(packer, 19);
	pair_number(packer, "slot", slot->index);
	pair_text(packer, "state", status_slot_state(slot));
	pair_number(packer, "generation", slot->generation);
	pair_number(packer, "pid", (uint64_t)slot->pid);
	pair_milliseconds(views, "since", slot->since, packer);
	pair_number(packer, "calls", slot->calls);
	pair_number(packer, "failures", slot->failed);
	pair_number(packer, "lost", slot->lost);
	pair_number(packer, "restarts", slot->restarts);
	pair_number(packer, "queue", slot->queue.count + (slot->handed_count > 0 ? slot->handed_count - 1 : 0));
	pair_number(packer, "deferred", slot->by_tag.count + direct_put_off(slot));
	pair_number(packer, "direct", slot->directs_count);
	pair_flag(packer, "leased", slot->leased != NULL);
	pack_running(views, slot, packer);
	pair_number(packer, "rss", usage->rss);
	pack_text(packer, "cpu_s");
	msgpack_pack_double(packer, usage->cpu_s);
	pair_text(packer, "last_failure", slot->last_failure);
	pair_milliseconds(views, "failed_at", slot->failed_at, packer);
}

static void draw_slots(struct pool_views *views, struct pool_view *view, msgpack_sbuffer *buffer, msgpack_packer *packer)
{
	struct procfs usage = {0};
	int64_t pid = 0;

	set_slots(view, view->pool->size);
	for (uint32_t i = 0; i < view->slot_count; i++) {
		const struct slot *slot = view->pool->slots[i];
		if (slot->pid == 0 || slot->pid != pid)
			usage = worker_last_usage(slot);
		pid = slot->pid;
		msgpack_sbuffer_clear(buffer);
		pack_slot(views, slot, &usage, packer);
		picture_draw(&view->slots[i], buffer, views->drawing);
	}
}

void pool_views_add_slots(struct pool_views *views, const char *pool)
{
	struct pool_view *view = pool_views_find(views, pool);
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	if (!view || view->slots)
		return;
	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
	view->wanted = views->drawing;
	draw_slots(views, view, &buffer, &packer);
	msgpack_sbuffer_destroy(&buffer);
}

void pool_views_want(struct pool_views *views, const char *pool)
{
	pool_views_settle(views);
	struct pool_view *view = pool_views_find(views, pool);
	if (view)
		view->wanted = views->drawing + 1;
}

void pool_views_draw(struct pool_views *views)
{
	struct pool_view *view;
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	pool_views_settle(views);
	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
	views->drawing++;
	views->drawn = views->daemon->core.now;
	look_at_processes(views);
	TAILQ_FOREACH(view, &views->list, link) {
		msgpack_sbuffer_clear(&buffer);
		pack_pool(views, view, &packer);
		picture_draw(&view->picture, &buffer, views->drawing);
		if (is_opened(views, view))
			draw_slots(views, view, &buffer, &packer);
		else
			set_slots(view, 0);
	}
	msgpack_sbuffer_destroy(&buffer);
}
