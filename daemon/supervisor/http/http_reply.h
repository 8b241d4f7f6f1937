/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_reply: the answers of a call, from messages of the wire to JSON. Plain, there is one line:
 *
 *   {"result": VALUE}                  or  {"error": {"code": ..., "message": ..., ...}}
 *
 * As a stream a line comes for each result, and the last line tells the end:
 *
 *   {"index": 0, "result": VALUE}      or  {"index": 0, "error": {...}}
 *   {"progress": [DONE, TOTAL, TEXT]}
 *   {"end": {"items": 1, "failed": 0}} or  {"error": {...}}
 */
#ifndef SUPERVISOR_HTTP_REPLY_H
#define SUPERVISOR_HTTP_REPLY_H

#include "daemon/core/base/error.h"
#include "daemon/supervisor/http/messages.h"
#include "json/to_json.h"

struct http_reply {
	bool stream;
	bool begun;            /* a line has been written, or begun */
	int status;            /* of HTTP; not 200 if the first line is the call's error */
	uint64_t retry_after;  /* milliseconds, of OVERLOADED; 0: it is not known */
	struct evbuffer *text; /* what has been written, and was not taken out */
	struct messages messages;
	struct to_json json;
	bool writing; /* `json` has not written all of its value */
	bool last;    /* that value is the last */
	bool over;    /* all has been written */
	bool failed;  /* there was no memory: the text ends in the middle */
};

/* 0 or -ENOMEM. Messages over `limit` bytes are refused. */
int http_reply_open(struct http_reply *reply, bool stream, struct account *account, uint64_t limit);

/* Writes what has come in the queue, until reply->text has about `budget` bytes. */
void http_reply_go_on(struct http_reply *reply, struct sendq *from, size_t budget);

/* Writes {"error": {...}}. */
void http_reply_put_error(struct evbuffer *text, const struct error *error);

void http_reply_close(struct http_reply *reply);

#endif
