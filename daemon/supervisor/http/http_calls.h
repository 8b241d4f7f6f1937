/* SPDX-License-Identifier: Apache-2.0 */
/* http_calls: POST /call/pool[:selector].method. Says which requests may call, and looks after the calls in progress. */
#ifndef SUPERVISOR_HTTP_CALLS_H
#define SUPERVISOR_HTTP_CALLS_H

#include "daemon/supervisor/http/http_call.h"

void http_calls_open(struct http_calls *calls, struct daemon *daemon, struct http_connections *connections);

/* Is that a path of a call? */
bool http_calls_have(const char *path);

/* Makes a call of a request with such a path, or refuses it. */
void http_calls_answer(struct http_calls *calls, struct evhttp_request *request);

/* When a turn of the loop ends: begins calls that are coming, for a moment. */
void http_calls_end_turn(struct http_calls *calls);

/* When a turn of the loop ends: writes what has come, for a moment. */
void http_calls_flush(struct http_calls *calls);

/* Breaks off the call that holds most of what counts in that account, and more than `least` bytes. False: there is none. */
bool http_calls_break_off_greediest(struct http_calls *calls, const struct account *over, uint64_t least);

/* Breaks off what is left: the address is being closed. */
void http_calls_close(struct http_calls *calls);

#endif
