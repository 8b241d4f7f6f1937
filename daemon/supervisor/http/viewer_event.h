/* SPDX-License-Identifier: Apache-2.0 */
/*
 * viewer_event: what a viewer is sent, as server-sent events.
 *
 *   data: {"now": 81250, "daemon": {"state": "running", ...}, "pools": [...], ...}     what has changed since it was last sent
 *   data: {"now": 81250, "end": "DENIED: the token is no user's"}                      the last one, when the daemon ends the stream
 */
#ifndef SUPERVISOR_VIEWER_EVENT_H
#define SUPERVISOR_VIEWER_EVENT_H

#include "daemon/supervisor/http/viewer.h"

#include <event2/buffer.h>

/* Writes what has changed, and notes that the viewer has it. 0 or -ENOMEM: a part may be there, which must not be sent, as the
 * viewer would take it for whole. */
int viewer_event_put(struct evbuffer *out, struct viewer *viewer);

/* Writes the last event. 0 or -ENOMEM. */
int viewer_event_put_end(struct evbuffer *out, const struct viewer *viewer, const char *why);

#endif
