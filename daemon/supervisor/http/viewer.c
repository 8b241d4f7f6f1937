/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/viewer.h"

#include "daemon/core/calls/client_end.h"
#include "daemon/supervisor/connections/peer.h"
#include "daemon/supervisor/http/http_hold.h"
#include "daemon/supervisor/http/http_identity.h"

#include <event2/buffer.h>
#include <stdlib.h>

/* ---- beginning and end ---- */

/* The client's name is what its browser says of itself. */
static void set_name(struct viewer *viewer)
{
	const char *agent = evhttp_find_header(evhttp_request_get_input_headers(viewer->request), "User-Agent");

	snprintf(viewer->client.name, sizeof viewer->client.name, "%s", agent ? agent : "");
}

static void credit(struct viewer *viewer)
{
	account_credit(viewer->client.account, viewer->charged);
	viewer->charged = 0;
	viewer->sending = false;
}

static void end(struct viewer *viewer)
{
	struct viewers *all = viewer->all;

	TAILQ_REMOVE(&all->list, viewer, link);
	all->count--;
	all->daemon->http_counts.viewers--;
	credit(viewer);
	account_remove_file(viewer->client.account);
	client_gone(&viewer->client);
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

void viewer_change_rights(struct viewer *viewer, const struct known *known)
{
	viewer->known_by = known->identity ? known->by : KNOWN_AS_ANYONE;
	client_set_rights(&viewer->client, known->identity ? known->identity->rights : NULL);
	viewer->seen = viewer->logged = 0;
	happened_enter(&viewer->told, false);
}

struct viewer *viewer_new(struct viewers *all, struct evhttp_request *request, const struct known *known,
			  const struct viewer_wish *wish)
{
	struct viewer *viewer = calloc(1, sizeof *viewer);

	if (!viewer || (wish->pool && !(viewer->pool = strdup(wish->pool)))) {
		free(viewer);
		return NULL;
	}
	client_init(&viewer->client, &all->daemon->core);
	viewer->all = all;
	viewer->request = request;
	viewer->clients = wish->clients;
	viewer->since = all->daemon->core.now;
	set_name(viewer);
	viewer_change_rights(viewer, known);
	account_add_file(viewer->client.account);
	TAILQ_INSERT_TAIL(&all->list, viewer, link);
	all->count++;
	all->daemon->http_counts.viewers++;
	http_hold_begin(all->connections, request, on_closed, viewer);
	return viewer;
}

void viewer_break_off(const struct viewer *viewer)
{
	evhttp_connection_free(evhttp_request_get_connection(viewer->request)); /* on_closed follows */
}

void viewer_finish(struct viewer *viewer, struct evbuffer *event)
{
	struct evhttp_request *request = viewer->request;

	if (viewer->sending) {
		viewer_break_off(viewer);
		return;
	}
	http_hold_end(viewer->all->connections, request);
	if (event)
		evhttp_send_reply_chunk(request, event);
	evhttp_send_reply_end(request);
	end(viewer);
}

void viewer_peer(const struct viewer *viewer, char *text, size_t size)
{
	struct bufferevent *stream = evhttp_connection_get_bufferevent(evhttp_request_get_connection(viewer->request));

	peer_describe(bufferevent_getfd(stream), http_is_encrypted(viewer->request), text, size);
}

/* ---- sending ---- */

void viewer_begin(const struct viewer *viewer)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(viewer->request);

	(void)evhttp_add_header(headers, "Content-Type", "text/event-stream");
	(void)evhttp_add_header(headers, "X-Accel-Buffering", "no"); /* nginx passes each event on at once */
	(void)evhttp_add_header(headers, "Cache-Control", "no-store");
	(void)evhttp_add_header(headers, "Connection", "close");
	evhttp_send_reply_start(viewer->request, HTTP_OK, NULL);
}

/* evhttp's: the connection has taken all that was given to it. */
static void on_taken(struct evhttp_connection *connection, void *data)
{
	(void)connection;
	credit(data);
}

void viewer_send(struct viewer *viewer, struct evbuffer *event)
{
	viewer->sending = true;
	viewer->charged = evbuffer_get_length(event);
	account_charge(viewer->client.account, viewer->charged);
	evhttp_send_reply_chunk_with_cb(viewer->request, event, on_taken, viewer);
	http_hold_watch(viewer->request);
}
