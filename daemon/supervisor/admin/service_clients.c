/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/client_end.h"
#include "daemon/supervisor/admin/admin.h"
#include "daemon/supervisor/connections/session.h"
#include "daemon/supervisor/http/client_list.h"
#include "daemon/supervisor/http/http.h"
#include "daemon/supervisor/http/http_call.h"
#include "daemon/supervisor/http/viewers.h"

int admin_clients(struct request *request)
{
	if (request->count > 0)
		return admin_refuse_params(request, "no arguments");
	const struct http *http = request->daemon->http;
	client_list_pack(request->daemon, http_calls_in_progress(http), http_viewers(http), UINT32_MAX, request->result);
	return 0;
}

/* ---- objpool.kick ---- */

static struct session *find(const struct daemon *daemon, uint64_t id)
{
	struct session *session;

	TAILQ_FOREACH(session, &daemon->sessions, link)
		if (session->client.id == id)
			return session;
	return NULL;
}

static struct http_call *find_call(const struct daemon *daemon, uint64_t id)
{
	const struct http_calls *calls = http_calls_in_progress(daemon->http);
	struct http_call *call;

	if (calls)
		TAILQ_FOREACH(call, &calls->list, link)
			if (call->client.id == id)
				return call;
	return NULL;
}

static struct viewer *find_viewer(const struct daemon *daemon, uint64_t id)
{
	const struct viewers *viewers = http_viewers(daemon->http);
	struct viewer *viewer;

	if (viewers)
		TAILQ_FOREACH(viewer, &viewers->list, link)
			if (viewer->client.id == id)
				return viewer;
	return NULL;
}

static void kick_call(struct http_call *call)
{
	struct error error;

	error_say(&error, ERROR_CANCELLED, RAN_MAYBE, "the call was ended by objpool.kick");
	http_call_break_off(call, &error);
}

static void kick_session(struct session *session, const struct session *asking)
{
	if (session != asking)
		client_hang_up(&session->client);
	session->ending = true;
	session_mark_dirty(session);
}

/* A session's connection is closed at the end of the turn: at once, or, of who kicks itself, when it has the answer. */
int admin_kick(struct request *request)
{
	struct session *session;
	struct http_call *call;
	struct viewer *viewer;
	uint64_t id;

	if (request->count != 1 || read_whole(&request->args, &id) < 0)
		return admin_refuse_params(request, "the number of a session");
	session = find(request->daemon, id);
	call = find_call(request->daemon, id);
	viewer = find_viewer(request->daemon, id);
	(session || call || viewer ? msgpack_pack_true : msgpack_pack_false)(request->result);
	if (session)
		kick_session(session, request->session);
	else if (call)
		kick_call(call);
	else if (viewer)
		viewers_end(viewer, "the page was closed by objpool.kick");
	return 0;
}
