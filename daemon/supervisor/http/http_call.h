/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_call: a call by HTTP. It is a client of the core that makes one call, and ends with it.
 *
 *   made --its turn: the body is read--> begun --the answer has come--> its last bytes are given to evhttp, and it is over
 *     '------the peer has gone-------------'---> its call is cancelled, and it is over
 *
 * Results are written when the connection has taken what was written before: what comes meanwhile stays in the client's queue,
 * packed, where max_unsent bounds it.
 */
#ifndef SUPERVISOR_HTTP_CALL_H
#define SUPERVISOR_HTTP_CALL_H

#include "daemon/core/records/client.h"
#include "daemon/supervisor/http/http_body.h"
#include "daemon/supervisor/http/http_connections.h"
#include "daemon/supervisor/http/http_reply.h"
#include "daemon/supervisor/users/users.h"

TAILQ_HEAD(http_call_list, http_call);

/* All calls by HTTP that are in progress. */
struct http_calls {
	struct daemon *daemon;
	struct http_connections *connections;
	struct http_call_list list;
	struct http_call_list coming; /* are not begun */
	struct http_call_list dirty;  /* have something to write */
	uint32_t count;
};

struct http_call {
	struct client client;
	struct http_calls *calls;
	TAILQ_ENTRY(http_call) link;
	TAILQ_ENTRY(http_call) coming_link;
	bool coming;
	size_t body; /* bytes that its request holds while it is coming */
	TAILQ_ENTRY(http_call) dirty_link;
	bool dirty;
	struct evhttp_request *request;
	struct http_reply reply;
	uint64_t since;         /* when it came */
	enum known_by known_by; /* by what it is known who asks */
	bool started; /* the head of the answer has been sent */
	bool sending; /* the connection has not taken all that was given to it */
};

/* A call of that request, by who asks, which is coming; the connection is its own from now on. NULL: out of memory. */
struct http_call *http_call_new(struct http_calls *calls, struct evhttp_request *request, const struct known *known, bool stream);

/* It is not coming any more. */
void http_call_stop_waiting(struct http_call *call);

/* Has the core begin what the body asks for, or refuse it. */
void http_call_begin(struct http_call *call, const struct http_body *body);

/* Writes where its client is, as peer.h says. */
void http_call_peer(const struct http_call *call, char *text, size_t size);

/* Writes what has come. The call may be over then, and freed. */
void http_call_go_on(struct http_call *call);

/* Answers an error, and ends the call; if the answer has begun, it is broken off. */
void http_call_break_off(struct http_call *call, const struct error *error);

/* Answers an error of a request of which there is no call. */
void http_call_refuse(struct evhttp_request *request, int status, const struct error *error);

#endif
