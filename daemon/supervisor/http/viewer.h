/* SPDX-License-Identifier: Apache-2.0 */
/*
 * viewer: one stream of server-sent events (/events), by which a page is kept up to date.
 *
 * A viewer is a client of the core that asks for nothing. So it has a number, by which objpool.clients lists it and objpool.kick
 * ends it. It is charged the event that it has not taken yet.
 */
#ifndef SUPERVISOR_VIEWER_H
#define SUPERVISOR_VIEWER_H

#include "daemon/core/records/client.h"
#include "daemon/supervisor/http/http_call.h"
#include "daemon/supervisor/http/pool_views.h"
#include "daemon/supervisor/log/happened.h"

/* All viewers of the daemon's address for HTTP. */
struct viewers {
	struct daemon *daemon;
	struct pool_views *views; /* borrowed: the daemon's */
	struct http_connections *connections;
	const struct http_calls *calls;
	TAILQ_HEAD(, viewer) list;
	uint32_t count;
	struct ticker ticker;
	/* The answer to /history without a pool, which is the same until the next sample. */
	struct {
		struct picture picture;
		struct rights *rights; /* of who has asked; a reference */
		uint64_t sampled;      /* views->sampled when it was made */
	} histories;
};

/* What a viewer wants to see. */
struct viewer_wish {
	const char *pool; /* with its slots; NULL: none */
	bool clients;
};

struct viewer {
	struct client client;
	TAILQ_ENTRY(viewer) link;
	struct viewers *all;
	struct evhttp_request *request;
	char *pool;             /* that it has opened; NULL: none */
	bool clients;           /* it wants to see them */
	bool sending;           /* it has not taken the last event */
	bool broken;            /* there was no memory for an event: it is broken off, and its page asks again */
	size_t charged;         /* bytes of the last event, until it has been taken */
	uint64_t since;         /* when it came */
	enum known_by known_by; /* by what it is known who looks */
	uint64_t seen;          /* number of the drawing that it was last sent; 0: the next event is to be whole */
	uint64_t logged;        /* number of the last line of the log that it was sent */
	struct happened_place told; /* behind the last event of the cluster that it was sent */
};

/* A viewer for that request, of who has sent it; the connection is its own from now on. NULL: out of memory. */
struct viewer *viewer_new(struct viewers *all, struct evhttp_request *request, const struct known *known,
			  const struct viewer_wish *wish);

/* It is somebody with these rights from now on: its next event is whole. */
void viewer_change_rights(struct viewer *viewer, const struct known *known);

/* Sends the head of the answer. */
void viewer_begin(const struct viewer *viewer);

/* Sends an event: to a viewer that has taken the last one. Empties `event`. */
void viewer_send(struct viewer *viewer, struct evbuffer *event);

/* Ends the stream with this last event, which may be NULL, and frees the viewer. If it has not taken the event before, the stream
 * is broken off. */
void viewer_finish(struct viewer *viewer, struct evbuffer *event);

/* Ends the stream at once, and frees the viewer. */
void viewer_break_off(const struct viewer *viewer);

/* Writes where it is, as peer.h says. */
void viewer_peer(const struct viewer *viewer, char *text, size_t size);

#endif
