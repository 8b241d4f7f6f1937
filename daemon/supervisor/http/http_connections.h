/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_connections: the connections of evhttp, of which there may be few, and each for a short time only.
 *
 * evhttp owns a connection, and does not tell when it lets go of it: its bufferevent then has no callbacks left. The list here
 * holds a reference to the bufferevent, so that the descriptor can't become another's meanwhile.
 */
#ifndef SUPERVISOR_HTTP_CONNECTIONS_H
#define SUPERVISOR_HTTP_CONNECTIONS_H

#include "daemon/supervisor/base/daemon.h"

#include <event2/bufferevent.h>
#include <event2/http.h>

#define HTTP_LIFE (10 * SECOND) /* a connection is closed after this time, even in the middle of a request or answer */

struct http_connections {
	struct daemon *daemon;
	TAILQ_HEAD(, http_connection) list; /* the oldest first */
	uint32_t count, cut_count, held_count;
	struct timer cut; /* fires when the oldest connection is over its HTTP_LIFE */
};

/* 0 or a negative errno. */
int http_connections_open(struct http_connections *connections, struct daemon *daemon);

/*
 * The bufferevent of a new connection, with TLS if `tls` says so. Closes another connection if there are too many. NULL: out of
 * memory; evhttp then makes a bufferevent of its own, without TLS.
 */
struct bufferevent *http_connections_add(struct http_connections *connections, bool tls);

/* A whole request has come. False: it came without TLS, though `tls` is wanted. */
bool http_connections_on_request(struct http_connections *connections, struct evhttp_request *request, bool tls);

/* The connection of this request has a call in progress, and is not cut meanwhile; or (false) it has its answer, and HTTP_LIFE
 * to take it. */
void http_connections_hold(struct http_connections *connections, struct evhttp_request *request, bool held);

/* Are there answers that have not been sent whole? */
bool http_connections_have_unsent(const struct http_connections *connections);

/* False: no more may be accepted until some that were cut have been freed. */
bool http_connections_have_room(const struct http_connections *connections);

/* When a turn of the loop ends: forgets the connections that are over, cuts those that last too long. */
void http_connections_end_turn(struct http_connections *connections);

/* After evhttp has been freed. */
void http_connections_close(struct http_connections *connections);

#endif
