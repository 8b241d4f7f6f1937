/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_body: makes a request of the wire out of what came by HTTP: the path's `pool[:selector].method`, and a body of JSON.
 *
 *   [argument, ...]
 *   {"args": [argument, ...], "kwargs": {...}, "options": {...}}      all keys optional; options as of objpool.call
 */
#ifndef SUPERVISOR_HTTP_BODY_H
#define SUPERVISOR_HTTP_BODY_H

#include "daemon/core/base/error.h"
#include "proto/rpc.h"

struct http_body {
	struct span method;      /* as the path has it */
	struct span text;        /* the body; a '\0' follows */
	bool stream;             /* results are to come one by one */
	const char *traceparent; /* of the request's header; NULL: there is none. An option of the body goes before it */
};

/* Packs the request, whose msgid is 0. 0: *block is the caller's to unref, *rpc lies in it, and *full says whether it is one of
 * objpool.call; or -1 with *error made. */
int http_body_pack(const struct http_body *body, struct account *account, struct block **block, struct rpc *rpc, bool *full,
		   struct error *error);

#endif
