/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/http_hold.h"

#include <event2/buffer.h>

enum {
	UNREAD = 4096, /* bytes behind a request that are read at once, and dropped */
	PATIENCE = 60, /* seconds in which the peer must take something of an answer */
};

static struct bufferevent *stream_of(struct evhttp_request *request)
{
	return evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
}

/* What is sent behind a request is dropped: its answer is the only one of the connection. */
static void on_behind(struct bufferevent *stream, void *data)
{
	(void)data;
	(void)evbuffer_drain(bufferevent_get_input(stream), SIZE_MAX);
}

/* For evhttp to tell of the connection's end, it must be read. evhttp does not read it before there is an answer, and then keeps
 * what it reads: so its callback is replaced. */
void http_hold_watch(struct evhttp_request *request)
{
	struct bufferevent *stream = stream_of(request);
	bufferevent_data_cb on_written;
	bufferevent_event_cb on_event;
	void *data;

	bufferevent_getcb(stream, NULL, &on_written, &on_event, &data);
	bufferevent_setcb(stream, on_behind, on_written, on_event, data);
	(void)bufferevent_enable(stream, EV_READ);
}

/* The time in which a request must come is over. */
void http_hold_begin(struct http_connections *connections, struct evhttp_request *request,
		     void (*on_closed)(struct evhttp_connection *connection, void *data), void *data)
{
	const struct timeval patience = {.tv_sec = PATIENCE};

	http_connections_hold(connections, request, true);
	evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_closed, data);
	bufferevent_setwatermark(stream_of(request), EV_READ, 0, UNREAD);
	(void)bufferevent_set_timeouts(stream_of(request), NULL, &patience);
	http_hold_watch(request);
}

void http_hold_on_closed(struct evhttp_request *request)
{
	if (!evhttp_request_get_connection(request))
		evhttp_request_free(request);
}

void http_hold_end(struct http_connections *connections, struct evhttp_request *request)
{
	evhttp_connection_set_closecb(evhttp_request_get_connection(request), NULL, NULL);
	http_connections_hold(connections, request, false);
}
