/* SPDX-License-Identifier: Apache-2.0 */
/* http_listeners: the sockets on which evhttp accepts: one, or two when the address has the name of both loopback addresses. */
#ifndef SUPERVISOR_HTTP_LISTENERS_H
#define SUPERVISOR_HTTP_LISTENERS_H

#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/config/address.h"
#include "daemon/supervisor/connections/socketfile.h"

#include <event2/http.h>
#include <event2/listener.h>

struct http_listeners {
	TAILQ_ENTRY(http_listeners) link; /* in the list of all */
	struct http_listener {
		struct evconnlistener *listener;
		struct address bound; /* with the real port */
		struct socketfile file;
	} listener[2];
	uint32_t count;
	bool wanted;         /* connections are to be accepted */
	bool complained;     /* the log knows of the last failure to accept */
	struct event *again; /* accepts again after a failure */
};

/* 0 or -1: out of memory. */
int http_listeners_open(struct http_listeners *listeners, struct event_base *base);

/* Binds the address, and the second one that the configuration's text stands for. 0, or -1 with a sentence in `reason`. */
int http_listeners_bind(struct http_listeners *listeners, struct evhttp *server, const struct config *config,
			const struct address *address, char *reason, size_t reason_size);

/* Are these the sockets of the address that the configuration wants? */
bool http_listeners_match(const struct http_listeners *listeners, const struct config *config, const struct address *address);

/* Accepts connections from now on, or no longer. While it accepts, libevent does so until no connection waits. */
void http_listeners_accept(struct http_listeners *listeners, bool wanted);

/* A reload has changed the rights that the files of Unix sockets are to have. */
void http_listeners_settle_rights(const struct http_listeners *listeners, const struct config *config);

/* Removes the files of the sockets. evhttp_free closes the sockets. */
void http_listeners_close(struct http_listeners *listeners);

#endif
