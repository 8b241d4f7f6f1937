/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/viewers.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/http/client_list.h"
#include "daemon/supervisor/http/http_answer.h"
#include "daemon/supervisor/http/http_hold.h"
#include "daemon/supervisor/log/log_recent.h"

#include <event2/buffer.h>
#include <inttypes.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

enum {
	VIEWERS_MAX = 32,
	VIEWERS_OF_USER = 16,
	CLIENTS_SHOWN = 100,
};
#define FRESH (250 * MILLISECOND) /* a drawing that is not older is good enough for a new viewer */

struct viewer {
	TAILQ_ENTRY(viewer) link;
	struct viewers *all;
	struct evhttp_request *request;
	struct rights *rights; /* a reference; NULL: all */
	char *pool;            /* that it has opened; NULL: none */
	bool clients;          /* it wants to see them */
	bool sending;          /* it has not taken the last event */
	bool broken;           /* there was no memory for an event: it is broken off, and its page asks again */
	uint64_t seen;         /* number of the drawing that it was last sent; 0: it was sent nothing yet */
	uint64_t logged;       /* number of the last line of the log that it was sent */
};

/* ---- an event ---- */

static bool watches(const struct viewer *viewer)
{
	return rights_have_any(viewer->rights, RIGHT_WATCH);
}

/* A packed value, by this function, as JSON. */
static int put_packed(struct evbuffer *out, const struct viewer *viewer, void (*pack)(const struct viewer *, msgpack_packer *))
{
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
	pack(viewer, &packer);
	const int r = json_text_put(&buffer, out);
	msgpack_sbuffer_destroy(&buffer);
	return r;
}

/* What does not change while the stream lasts. */
static void pack_hello(const struct viewer *viewer, msgpack_packer *packer)
{
	msgpack_pack_map(packer, 5);
	pair_text(packer, "version", OBJPOOL_VERSION);
	pair_number(packer, "pid", (uint64_t)getpid());
	pair_text_or_nil(packer, "user", viewer->rights ? viewer->rights->user : NULL);
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
	pair_number(packer, "clients", client_list_count(daemon, viewer->all->calls));
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
	client_list_pack(viewer->all->daemon, viewer->all->calls, CLIENTS_SHOWN, packer);
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

static bool sees(const struct viewer *viewer, const struct pool_view *view)
{
	return rights_may_see(viewer->rights, view->pool->name);
}

static void put_key(struct evbuffer *out, const char *key)
{
	(void)evbuffer_add_printf(out, ", \"%s\": ", key);
}

static void put_picture(struct evbuffer *out, const struct picture *picture, uint32_t *count)
{
	(void)evbuffer_add(out, ", ", (*count)++ > 0 ? 2 : 0);
	(void)evbuffer_add(out, picture->text, picture->size);
}

/* The names of all pools, in their order. They need no escapes. */
static void put_names(struct evbuffer *out, const struct viewer *viewer)
{
	const struct pool_view *view;
	uint32_t count = 0;

	(void)evbuffer_add_printf(out, "[");
	TAILQ_FOREACH(view, &viewer->all->views->list, link)
		if (sees(viewer, view))
			(void)evbuffer_add_printf(out, "%s\"%s\"", count++ > 0 ? ", " : "", view->pool->name);
	(void)evbuffer_add_printf(out, "]");
}

static void put_pools(struct evbuffer *out, const struct viewer *viewer)
{
	const struct pool_view *view;
	uint32_t count = 0;

	(void)evbuffer_add_printf(out, "[");
	TAILQ_FOREACH(view, &viewer->all->views->list, link)
		if (view->picture.changed > viewer->seen && sees(viewer, view))
			put_picture(out, &view->picture, &count);
	(void)evbuffer_add_printf(out, "]");
}

static void put_slots(struct evbuffer *out, const struct viewer *viewer, const struct pool_view *view)
{
	uint32_t count = 0;

	(void)evbuffer_add_printf(out, "[");
	for (uint32_t i = 0; i < view->slot_count; i++)
		if (view->slots[i].changed > viewer->seen)
			put_picture(out, &view->slots[i], &count);
	(void)evbuffer_add_printf(out, "]");
}

static void put_pools_and_slots(struct evbuffer *out, const struct viewer *viewer)
{
	const struct pool_views *views = viewer->all->views;
	const struct pool_view *opened = viewer->pool ? pool_views_find(views, viewer->pool) : NULL;

	if (views->changed > viewer->seen || viewer->seen == 0) {
		put_key(out, "names");
		put_names(out, viewer);
	}
	put_key(out, "pools");
	put_pools(out, viewer);
	if (opened && sees(viewer, opened)) {
		put_key(out, "slots");
		put_slots(out, viewer, opened);
	}
}

/* 0 or -ENOMEM. */
static int put_whole(struct evbuffer *out, const struct viewer *viewer)
{
	int r;

	put_key(out, "daemon");
	r = put_packed(out, viewer, pack_daemon);
	if (r == 0 && viewer->seen == 0) {
		put_key(out, "hello");
		r = put_packed(out, viewer, pack_hello);
	}
	if (r == 0 && watches(viewer) && viewer->clients) {
		put_key(out, "clients");
		r = put_packed(out, viewer, pack_clients);
	}
	if (r == 0 && watches(viewer) && log_recent_after(viewer->logged)) {
		put_key(out, "log");
		r = put_packed(out, viewer, pack_log);
	}
	return r;
}

/* 0 or -ENOMEM. */
static int put_event(struct evbuffer *out, struct viewer *viewer)
{
	const struct daemon *daemon = viewer->all->daemon;
	const struct log_recent_line *line;

	(void)evbuffer_add_printf(out, "data: {\"now\": %" PRIu64, (daemon->core.now - daemon->started) / MILLISECOND);
	const int r = put_whole(out, viewer);
	put_pools_and_slots(out, viewer);
	while ((line = log_recent_after(viewer->logged)))
		viewer->logged = line->number;
	return evbuffer_add(out, "}\n\n", 3) < 0 ? -1 : r;
}

/* ---- a viewer ---- */

static void end(struct viewer *viewer)
{
	struct viewers *all = viewer->all;

	TAILQ_REMOVE(&all->list, viewer, link);
	all->count--;
	all->daemon->http_counts.viewers--;
	account_remove_file(&all->daemon->core.memory);
	rights_set(&viewer->rights, NULL);
	free(viewer->pool);
	free(viewer);
}

/* evhttp's: the connection has ended. */
static void on_closed(struct evhttp_connection *connection, void *data)
{
	struct viewer *viewer = data;

	(void)connection;
	http_hold_on_closed(viewer->request);
	end(viewer);
}

static void break_off(const struct viewer *viewer)
{
	evhttp_connection_free(evhttp_request_get_connection(viewer->request)); /* on_closed follows */
}

/* evhttp's: the connection has taken all that was given to it. */
static void on_taken(struct evhttp_connection *connection, void *data)
{
	struct viewer *viewer = data;

	(void)connection;
	viewer->sending = false;
}

/* An event that lacks a part must not be sent: the viewer would take it for whole. */
static void send_event(struct viewer *viewer)
{
	struct evbuffer *out = evbuffer_new();

	if (!out || put_event(out, viewer) < 0) {
		if (out)
			evbuffer_free(out);
		viewer->broken = true;
		return;
	}
	viewer->seen = viewer->all->views->drawing;
	viewer->sending = true;
	evhttp_send_reply_chunk_with_cb(viewer->request, out, on_taken, viewer);
	http_hold_watch(viewer->request);
	evbuffer_free(out);
}

static void begin(struct viewer *viewer)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(viewer->request);

	(void)evhttp_add_header(headers, "Content-Type", "text/event-stream");
	(void)evhttp_add_header(headers, "X-Accel-Buffering", "no"); /* nginx passes each event on at once */
	(void)evhttp_add_header(headers, "Cache-Control", "no-store");
	(void)evhttp_add_header(headers, "Connection", "close");
	evhttp_send_reply_start(viewer->request, HTTP_OK, NULL);
	send_event(viewer);
}

/* ---- all of them ---- */

static bool has_room(const struct viewers *viewers, const struct rights *rights)
{
	const struct viewer *viewer;
	uint32_t of_user = 0;

	TAILQ_FOREACH(viewer, &viewers->list, link)
		of_user += rights && viewer->rights == rights;
	return viewers->count < VIEWERS_MAX && of_user < VIEWERS_OF_USER &&
	       account_has_room_for_file(&viewers->daemon->core.memory);
}

static struct viewer *viewer_new(struct viewers *viewers, struct evhttp_request *request, struct rights *rights,
				 const struct viewer_wish *wish)
{
	struct viewer *viewer = calloc(1, sizeof *viewer);

	if (!viewer || (wish->pool && !(viewer->pool = strdup(wish->pool)))) {
		free(viewer);
		return NULL;
	}
	viewer->all = viewers;
	viewer->request = request;
	viewer->clients = wish->clients;
	rights_set(&viewer->rights, rights);
	TAILQ_INSERT_TAIL(&viewers->list, viewer, link);
	viewers->count++;
	viewers->daemon->http_counts.viewers++;
	account_add_file(&viewers->daemon->core.memory);
	return viewer;
}

static void draw(struct viewers *viewers)
{
	const struct viewer *viewer;

	TAILQ_FOREACH(viewer, &viewers->list, link)
		if (viewer->pool && rights_may_see(viewer->rights, viewer->pool))
			pool_views_want(viewers->views, viewer->pool);
	pool_views_draw(viewers->views);
}

/* The drawing that a new viewer begins with. */
static void draw_for(struct viewers *viewers, const struct viewer *viewer)
{
	struct pool_views *views = viewers->views;

	if (views->drawing == 0 || viewers->daemon->core.now - views->drawn >= FRESH)
		draw(viewers);
	else if (viewer->pool && rights_may_see(viewer->rights, viewer->pool))
		pool_views_add_slots(views, viewer->pool);
}

void viewers_add(struct viewers *viewers, struct evhttp_request *request, struct rights *rights, const struct viewer_wish *wish)
{
	struct error error;
	struct viewer *viewer;

	if (viewers->daemon->state >= DAEMON_STOPPING || !has_room(viewers, rights) ||
	    !(viewer = viewer_new(viewers, request, rights, wish))) {
		error_say(&error, ERROR_OVERLOADED, RAN_NO, "too many pages are open, or the daemon stops");
		http_answer_error(request, HTTP_TOO_MANY, &error);
		return;
	}
	http_hold_begin(viewers->connections, request, on_closed, viewer);
	draw_for(viewers, viewer);
	begin(viewer);
}

/* The ticker's. */
static void on_tick(void *data)
{
	struct viewers *viewers = data;
	struct viewer *viewer, *next;

	daemon_tick(viewers->daemon);
	pool_views_sample(viewers->views);
	if (TAILQ_EMPTY(&viewers->list))
		return;
	draw(viewers);
	for (viewer = TAILQ_FIRST(&viewers->list); viewer; viewer = next) {
		next = TAILQ_NEXT(viewer, link);
		if (viewer->broken)
			break_off(viewer);
		else if (!viewer->sending)
			send_event(viewer);
	}
}

int viewers_open(struct viewers *viewers, struct daemon *daemon, struct http_connections *connections,
		 const struct http_calls *calls)
{
	*viewers = (struct viewers){.daemon = daemon, .connections = connections, .calls = calls};
	TAILQ_INIT(&viewers->list);
	if (!daemon->pool_views && !(daemon->pool_views = pool_views_new(daemon)))
		return -1;
	viewers->views = daemon->pool_views;
	return ticker_start(&viewers->ticker, daemon->base, SECOND, on_tick, viewers);
}

static void finish(struct viewer *viewer)
{
	struct evhttp_request *request = viewer->request;

	http_hold_end(viewer->all->connections, request);
	evhttp_send_reply_end(request);
	end(viewer);
}

void viewers_end_all(struct viewers *viewers)
{
	struct viewer *viewer, *next;

	for (viewer = TAILQ_FIRST(&viewers->list); viewer; viewer = next) {
		next = TAILQ_NEXT(viewer, link);
		if (viewer->sending)
			break_off(viewer);
		else
			finish(viewer);
	}
}

void viewers_close(struct viewers *viewers)
{
	picture_free(&viewers->histories.picture);
	rights_set(&viewers->histories.rights, NULL);
	ticker_stop(&viewers->ticker);
	viewers_end_all(viewers);
}
