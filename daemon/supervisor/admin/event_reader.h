/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_reader: a stream of events (log/happened.h) to a client, as objpool.result [msgid, index, nil, event], or as
 * objpool.event [msgid, event]. When a turn of the loop ends, each reader gets what it has not read. One whose client has much to read already waits; if the ring comes round
 * meanwhile it loses events, and is told how many. So a reader needs no queue.
 */
#ifndef SUPERVISOR_EVENT_READER_H
#define SUPERVISOR_EVENT_READER_H

#include "daemon/supervisor/connections/session.h"
#include "daemon/supervisor/view/events.h"

enum { EVENT_READERS_MAX = 64, EVENT_READERS_OF_USER = 16 };

struct event_stream {
	struct events_wish wish;
	bool follow;      /* goes on with what comes */
	bool bare;        /* as objpool.event */
	uint64_t timeout; /* nanoseconds; 0: none */
};

/* May the session see all events, also those of the daemon itself and of clients? */
bool event_reader_sees_all(const struct session *session);

/* Skips the first of the wanted events, so that `last` of those that are there are left. */
void event_reader_begin_late(const struct session *session, struct events_wish *wish, uint64_t last);

/* Begins a stream: the request is answered at its end. 0; -EBUSY: there are too many; -ENOMEM. */
int event_reader_new(struct session *session, const struct rpc *rpc, const struct event_stream *stream);

/* Sends what has happened. */
void event_readers_run(struct daemon *daemon);

/* Would event_readers_run send something? */
bool event_readers_have_work(const struct daemon *daemon);

/* Ends all streams: the daemon stops. */
void event_readers_end_all(struct daemon *daemon);

#endif
