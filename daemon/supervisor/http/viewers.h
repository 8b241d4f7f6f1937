/* SPDX-License-Identifier: Apache-2.0 */
/*
 * viewers: all streams of server-sent events. Each second, each viewer is sent what has changed since what it was last sent.
 *
 * A viewer that has not taken the last event yet is sent nothing: what it misses is in the next event, which has what has changed
 * since. So the daemon never holds more than one event of a viewer.
 *
 * When the configuration is read again, a stream goes on with what its viewer may see by then. It ends only if the same request
 * would be refused now.
 */
#ifndef SUPERVISOR_VIEWERS_H
#define SUPERVISOR_VIEWERS_H

#include "daemon/supervisor/http/viewer.h"

/* 0, or -1: out of memory or descriptors. */
int viewers_open(struct viewers *viewers, struct daemon *daemon, struct http_connections *connections,
		 const struct http_calls *calls);

/* Answers the request, of who has sent it, with a stream; or refuses it, when there are too many. */
void viewers_add(struct viewers *viewers, struct evhttp_request *request, const struct known *known,
		 const struct viewer_wish *wish);

/* The configuration has been read again: asks anew who each viewer is, and what it may see. */
void viewers_settle(struct viewers *viewers);

/* Ends the stream; the last event says why. A page asks again. */
void viewers_end(struct viewer *viewer, const char *why);
void viewers_end_all(struct viewers *viewers, const char *why);

/* Breaks off the viewer that holds most of what counts in that account, and more than `least` bytes. False: there is none. */
bool viewers_break_off_greediest(struct viewers *viewers, const struct account *over, uint64_t least);

void viewers_close(struct viewers *viewers);

#endif
