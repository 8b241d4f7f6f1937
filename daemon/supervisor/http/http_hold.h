/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_hold: a connection whose answer takes long, or never ends. It is not cut meanwhile, evhttp tells of its end, and what
 * its peer sends behind the request is dropped: each connection has one answer. A peer that takes nothing of the answer for a
 * minute is given up.
 */
#ifndef SUPERVISOR_HTTP_HOLD_H
#define SUPERVISOR_HTTP_HOLD_H

#include "daemon/supervisor/http/http_connections.h"

/* From now on `on_closed` is called, with `data`, when the connection ends before the answer does. It begins with
 * http_hold_on_closed. */
void http_hold_begin(struct http_connections *connections, struct evhttp_request *request,
		     void (*on_closed)(struct evhttp_connection *connection, void *data), void *data);

/* evhttp frees the request, unless it has let go of it. */
void http_hold_on_closed(struct evhttp_request *request);

/* To be called whenever something has been given to evhttp: it has set callbacks of its own. */
void http_hold_watch(struct evhttp_request *request);

/* The rest of the answer is evhttp's. */
void http_hold_end(struct http_connections *connections, struct evhttp_request *request);

#endif
