/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/viewers.h"

#include "daemon/supervisor/http/http_answer.h"
#include "daemon/supervisor/http/http_guard.h"
#include "daemon/supervisor/http/page_access.h"
#include "daemon/supervisor/http/viewer_event.h"
#include "daemon/supervisor/log/log.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <syslog.h>

enum {
	VIEWERS_MAX = 32,
	VIEWERS_KEPT = 4, /* of these, for users with the right watch */
	VIEWERS_OF_USER = 16,
};
#define FRESH (250 * MILLISECOND) /* a drawing that is not older is good enough for a new viewer */

/* ---- sending ---- */

static void send_event(struct viewer *viewer)
{
	struct evbuffer *event = evbuffer_new();

	if (event && viewer_event_put(event, viewer) == 0)
		viewer_send(viewer, event);
	else
		viewer->broken = true;
	if (event)
		evbuffer_free(event);
}

void viewers_end(struct viewer *viewer, const char *why)
{
	struct evbuffer *event = evbuffer_new();

	viewer_finish(viewer, event && viewer_event_put_end(event, viewer, why) == 0 ? event : NULL);
	if (event)
		evbuffer_free(event);
}

/* ---- a new one ---- */

/* NULL, or why it is refused. */
static const char *check_room(const struct viewers *viewers, const struct rights *rights)
{
	const uint32_t most = rights_have_any(rights, RIGHT_WATCH) ? VIEWERS_MAX : VIEWERS_MAX - VIEWERS_KEPT;
	const struct viewer *viewer;
	uint32_t of_user = 0;

	TAILQ_FOREACH(viewer, &viewers->list, link)
		of_user += rights && viewer->client.rights == rights;
	if (viewers->daemon->state >= DAEMON_STOPPING)
		return "the daemon stops";
	if (of_user >= VIEWERS_OF_USER)
		return "this user has too many pages open";
	if (viewers->count >= most || !account_has_room_for_file(&viewers->daemon->core.memory))
		return "too many pages are open";
	return NULL;
}

static void draw(struct viewers *viewers)
{
	const struct viewer *viewer;

	TAILQ_FOREACH(viewer, &viewers->list, link)
		if (viewer->pool && rights_may_see(viewer->client.rights, viewer->pool))
			pool_views_want(viewers->views, viewer->pool);
	pool_views_draw(viewers->views);
}

/* The drawing that a new viewer begins with. */
static void draw_for(struct viewers *viewers, const struct viewer *viewer)
{
	struct pool_views *views = viewers->views;

	if (views->drawing == 0 || viewers->daemon->core.now - views->drawn >= FRESH)
		draw(viewers);
	else if (viewer->pool && rights_may_see(viewer->client.rights, viewer->pool))
		pool_views_add_slots(views, viewer->pool);
}

void viewers_add(struct viewers *viewers, struct evhttp_request *request, const struct known *known,
		 const struct viewer_wish *wish)
{
	const char *reason = check_room(viewers, known->identity ? known->identity->rights : NULL);
	struct viewer *viewer = reason ? NULL : viewer_new(viewers, request, known, wish);
	struct error error;

	if (!viewer) {
		error_say(&error, ERROR_OVERLOADED, RAN_NO, "%s", reason ? reason : "the daemon is out of memory");
		http_answer_error(request, HTTP_TOO_MANY, &error);
		return;
	}
	draw_for(viewers, viewer);
	viewer_begin(viewer);
	send_event(viewer);
}

/* ---- all of them ---- */

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
			viewer_break_off(viewer);
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

/* Asks of the request what was asked when it came. */
static void settle(struct viewer *viewer)
{
	struct daemon *daemon = viewer->all->daemon;
	struct error error;
	struct known known;
	char why[sizeof error.text + 32];
	int status = http_guard_judge(&daemon->config, viewer->request, &error);

	if (status == 0)
		status = page_access_judge(daemon, viewer->request, &known, &error);
	if (status == 0) {
		viewer_change_rights(viewer, &known);
		return;
	}
	snprintf(why, sizeof why, "%s: %.*s", error_code_name(error.code), SPAN_TEXT(error.message, sizeof error.text));
	viewers_end(viewer, why);
}

void viewers_settle(struct viewers *viewers)
{
	struct viewer *viewer, *next;

	for (viewer = TAILQ_FIRST(&viewers->list); viewer; viewer = next) {
		next = TAILQ_NEXT(viewer, link);
		settle(viewer);
	}
}

void viewers_end_all(struct viewers *viewers, const char *why)
{
	struct viewer *viewer, *next;

	for (viewer = TAILQ_FIRST(&viewers->list); viewer; viewer = next) {
		next = TAILQ_NEXT(viewer, link);
		viewers_end(viewer, why);
	}
}

bool viewers_break_off_greediest(struct viewers *viewers, const struct account *over, uint64_t least)
{
	const struct viewer *viewer, *most = NULL;

	TAILQ_FOREACH(viewer, &viewers->list, link)
		if (account_pressed_by(viewer->client.account) == over && viewer->client.account->used > least) {
			most = viewer;
			least = viewer->client.account->used;
		}
	if (!most)
		return false;
	log_say(LOG_WARNING, "session %llu, a page that is open: it holds %llu bytes, and memory is short: ending it",
		(unsigned long long)most->client.id, (unsigned long long)least);
	viewer_break_off(most);
	return true;
}

void viewers_close(struct viewers *viewers)
{
	picture_free(&viewers->histories.picture);
	rights_set(&viewers->histories.rights, NULL);
	ticker_stop(&viewers->ticker);
	viewers_end_all(viewers, "this address is being closed");
}
