/* SPDX-License-Identifier: Apache-2.0 */
/*
 * viewers: streams of server-sent events (/events), by which the page is kept up to date. Each second, each viewer is sent what
 * has changed since what it was last sent:
 *
 *   data: {"now": 81250, "state": "running", "pools": [...], ...}
 *
 * A viewer that has not taken the last event yet is sent nothing: what it misses is in the next event, which has what has changed
 * since. So the daemon never holds more than one event of a viewer.
 */
#ifndef SUPERVISOR_VIEWERS_H
#define SUPERVISOR_VIEWERS_H

#include "daemon/supervisor/http/http_call.h"
#include "daemon/supervisor/http/pool_views.h"

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

/* 0, or -1: out of memory or descriptors. */
int viewers_open(struct viewers *viewers, struct daemon *daemon, struct http_connections *connections,
		 const struct http_calls *calls);

/* Answers the request, of somebody with these rights, with a stream; or refuses it, when there are too many. */
void viewers_add(struct viewers *viewers, struct evhttp_request *request, struct rights *rights, const struct viewer_wish *wish);

/* Ends all streams: who may see what has changed, or the daemon stops. The pages ask again. */
void viewers_end_all(struct viewers *viewers);

void viewers_close(struct viewers *viewers);

#endif
