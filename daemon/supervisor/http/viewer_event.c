/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/viewer_event.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/http/client_list.h"
#include "daemon/supervisor/http/host_list.h"
#include "daemon/supervisor/log/log_recent.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

enum { CLIENTS_SHOWN = 100 };

/* An event that is being written. What lacks memory makes it fail; what follows may still be added. */
struct event {
	struct evbuffer *out;
	bool failed;
};

/* ---- writing ---- */

static void put(struct event *event, const void *text, size_t size)
{
	event->failed = evbuffer_add(event->out, text, size) < 0 || event->failed;
}

static void put_text(struct event *event, const char *text)
{
	put(event, text, strlen(text));
}

static void put_key(struct event *event, const char *key)
{
	put_text(event, ", \"");
	put_text(event, key);
	put_text(event, "\": ");
}

static void put_begin(struct event *event, const struct daemon *daemon)
{
	char text[48];

	snprintf(text, sizeof text, "data: {\"now\": %" PRIu64, (daemon->core.now - daemon->started) / MILLISECOND);
	put_text(event, text);
}

static bool watches(const struct viewer *viewer)
{
	return rights_have_any(viewer->client.rights, RIGHT_WATCH);
}

/* A packed value, by this function, as JSON. */
static void put_packed(struct event *event, const char *key, const struct viewer *viewer,
		       void (*pack)(const struct viewer *, msgpack_packer *))
{
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	put_key(event, key);
	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
	pack(viewer, &packer);
	event->failed = json_text_put(&buffer, event->out) < 0 || event->failed;
	msgpack_sbuffer_destroy(&buffer);
}

/* What changes only when the daemon is started again, or reads its configuration again. */
static void pack_hello(const struct viewer *viewer, msgpack_packer *packer)
{
	msgpack_pack_map(packer, 5);
	pair_text(packer, "version", OBJPOOL_VERSION);
	pair_number(packer, "pid", (uint64_t)getpid());
	pair_text_or_nil(packer, "user", viewer->client.rights ? viewer->client.rights->user : NULL);
	pair_flag(packer, "users", viewer->all->daemon->users != NULL);
	pair_flag(packer, "watch", watches(viewer));
}

static void pack_daemon(const struct viewer *viewer, msgpack_packer *packer)
{
	static const char *const states[] = {"running", "draining", "stopping", "done"}; /* as enum daemon_state */
	struct daemon *daemon = viewer->all->daemon;
	const bool all = watches(viewer);
	const struct procfs usage = procfs_recall(&viewer->all->views->self, getpid(), daemon->core.now);

	msgpack_pack_map(packer, all ? 9 : 2);
	pair_text(packer, "state", states[daemon->state]);
	pair_flag(packer, "calls", daemon->config.http_calls);
	if (!all)
		return;
	pair_number(packer, "clients", client_list_count(daemon, viewer->all->calls, viewer->all));
	pair_number(packer, "memory", daemon->core.memory.used);
	pair_number(packer, "memory_max", daemon->core.memory.limit);
	pair_number(packer, "rss", usage.rss);
	pack_text(packer, "cpu_s");
	msgpack_pack_double(packer, usage.cpu_s);
	pair_number(packer, "denied", daemon->core.denied);
	pair_number(packer, "late", daemon->core.late);
}

static void pack_clients(const struct viewer *viewer, msgpack_packer *packer)
{
	client_list_pack(viewer->all->daemon, viewer->all->calls, viewer->all, CLIENTS_SHOWN, packer);
}

static void pack_log(const struct viewer *viewer, msgpack_packer *packer)
{
	const struct log_recent_line *line;
	uint32_t count = 0;

	for (line = log_recent_after(viewer->logged); line; line = log_recent_after(line->number))
		count++;
	msgpack_pack_array(packer, count);
	for (line = log_recent_after(viewer->logged); line; line = log_recent_after(line->number)) {
		msgpack_pack_map(packer, 4);
		pair_number(packer, "number", line->number);
		pair_number(packer, "at", (uint64_t)line->at);
		pair_flag(packer, "error", line->level <= LOG_ERR);
		pair_text(packer, "text", line->text);
	}
}

static void pack_hosts(const struct viewer *viewer, msgpack_packer *packer)
{
	host_list_pack(viewer->all->daemon, viewer->client.rights, packer);
}

static void pack_host_events(const struct viewer *viewer, msgpack_packer *packer)
{
	host_list_pack_events(viewer->told, packer);
}

static void put_cluster(struct event *event, const struct viewer *viewer)
{
	struct happened_place place = viewer->told;

	put_packed(event, "cluster", viewer, pack_hosts);
	if (host_list_count_events(&place) > 0)
		put_packed(event, "host_events", viewer, pack_host_events);
}

static bool sees(const struct viewer *viewer, const struct pool_view *view)
{
	return rights_may_see(viewer->client.rights, view->pool->name);
}

static void put_picture(struct event *event, const struct picture *picture, uint32_t *count)
{
	put(event, ", ", (*count)++ > 0 ? 2 : 0);
	put(event, picture->text, picture->size);
}

/* The names of all pools, in their order. They need no escapes. */
static void put_names(struct event *event, const struct viewer *viewer)
{
	const struct pool_view *view;
	uint32_t count = 0;

	put_key(event, "names");
	put_text(event, "[");
	TAILQ_FOREACH(view, &viewer->all->views->list, link)
		if (sees(viewer, view)) {
			put_text(event, count++ > 0 ? ", \"" : "\"");
			put_text(event, view->pool->name);
			put_text(event, "\"");
		}
	put_text(event, "]");
}

static void put_pools(struct event *event, const struct viewer *viewer)
{
	const struct pool_view *view;
	uint32_t count = 0;

	put_key(event, "pools");
	put_text(event, "[");
	TAILQ_FOREACH(view, &viewer->all->views->list, link)
		if (view->picture.changed > viewer->seen && sees(viewer, view))
			put_picture(event, &view->picture, &count);
	put_text(event, "]");
}

static void put_slots(struct event *event, const struct viewer *viewer, const struct pool_view *view)
{
	uint32_t count = 0;

	put_key(event, "slots");
	put_text(event, "[");
	for (uint32_t i = 0; i < view->slot_count; i++)
		if (view->slots[i].changed > viewer->seen)
			put_picture(event, &view->slots[i], &count);
	put_text(event, "]");
}

static void put_pools_and_slots(struct event *event, const struct viewer *viewer)
{
	const struct pool_views *views = viewer->all->views;
	const struct pool_view *opened = viewer->pool ? pool_views_find(views, viewer->pool) : NULL;

	if (views->changed > viewer->seen || viewer->seen == 0)
		put_names(event, viewer);
	put_pools(event, viewer);
	if (opened && sees(viewer, opened))
		put_slots(event, viewer, opened);
}

static void put_whole(struct event *event, const struct viewer *viewer)
{
	put_begin(event, viewer->all->daemon);
	put_packed(event, "daemon", viewer, pack_daemon);
	if (viewer->seen == 0)
		put_packed(event, "hello", viewer, pack_hello);
	if (watches(viewer) && viewer->clients)
		put_packed(event, "clients", viewer, pack_clients);
	if (watches(viewer) && log_recent_after(viewer->logged))
		put_packed(event, "log", viewer, pack_log);
	if (viewer->all->daemon->cluster)
		put_cluster(event, viewer);
	put_pools_and_slots(event, viewer);
	put_text(event, "}\n\n");
}

int viewer_event_put(struct evbuffer *out, struct viewer *viewer)
{
	struct event event = {.out = out};
	const struct log_recent_line *line;

	put_whole(&event, viewer);
	if (event.failed)
		return -ENOMEM;
	viewer->seen = viewer->all->views->drawing;
	(void)host_list_count_events(&viewer->told);
	while ((line = log_recent_after(viewer->logged)))
		viewer->logged = line->number;
	return 0;
}

/* ---- the last event ---- */

int viewer_event_put_end(struct evbuffer *out, const struct viewer *viewer, const char *why)
{
	struct event event = {.out = out};
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
	pack_text(&packer, why);
	put_begin(&event, viewer->all->daemon);
	put_key(&event, "end");
	event.failed = json_text_put(&buffer, out) < 0 || event.failed;
	put_text(&event, "}\n\n");
	msgpack_sbuffer_destroy(&buffer);
	return event.failed ? -ENOMEM : 0;
}
