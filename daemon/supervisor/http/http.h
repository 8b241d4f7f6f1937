/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http: probes, metrics and calls for programs that speak HTTP, and a page for people. It has an address of its own; each
 * connection has one answer.
 *
 *   /         see page.h
 *   /livez    200 as long as the loop turns
 *   /readyz   a call through a worker of each pool: 200, or 503 when one does not answer within a second
 *   /metrics  see view/metrics.h
 *   /call/    see http_calls.h
 */
#ifndef SUPERVISOR_HTTP_H
#define SUPERVISOR_HTTP_H

#include "daemon/supervisor/base/daemon.h"

struct http_calls;
struct viewers;

/* Sets *http to the server that the configuration wants: daemon->http, if it has that address; a new server, which http_use puts
 * in its place; or NULL. 0, or -1 with a sentence in `reason`. */
int http_open(struct daemon *daemon, const struct config *config, struct http **http, char *reason, size_t reason_size);

/* Closes daemon->http unless it is this server, and puts this server in its place. daemon->config is the one that wants it. */
void http_use(struct daemon *daemon, struct http *http);

/* A reload has changed the rights that Unix sockets are to have. */
void http_settle_rights(const struct http *http);

/* The configuration has been read again, and http_use was called: those who look at the page are shown what they may see now, or
 * their streams end. `http` may be NULL. */
void http_settle_viewers(struct http *http);

/* The daemon stops: ends the streams of those who look at the page. `http` may be NULL. */
void http_end_viewers(struct http *http);

/* Has a call something to do in the next turn of the loop? */
bool http_has_work(const struct http *http);

/* When a turn of the loop ends: begins calls, answers what has become known, closes connections that last too long, and accepts
 * more. */
void http_end_turn(struct http *http);

/* When a turn of the loop ends, and whenever workers may have answered in it: writes what has come for calls. */
void http_flush(struct http *http);

/* NULL: there is no address for them. */
const struct http_calls *http_calls_in_progress(const struct http *http);

/* The pages that are open. NULL: there is no address for them. */
const struct viewers *http_viewers(const struct http *http);

/* For daemon_ops: memory is short. Breaks off the open page, or else the call, that holds most of what counts in that account, and more than `least`
 * bytes. False: there is none. */
bool http_break_off_greediest(struct daemon *daemon, const struct account *over, uint64_t least);

/* Is a call in progress, or has an answer not been sent whole? */
bool http_is_busy(const struct http *http);

struct http *http_close(struct http *http);

#endif
