/* SPDX-License-Identifier: Apache-2.0 */
/* watch: events of libevent that are added only while they are wanted. */
#ifndef GATEWAY_WATCH_H
#define GATEWAY_WATCH_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

/* Adds the event, or removes it; *added says which it is. */
static inline void watch_set(struct event *event, bool *added, bool wanted)
{
	if (*added == wanted)
		return;
	if (wanted)
		*added = event_add(event, NULL) == 0;
	else
		*added = event_del(event) < 0;
}

#endif
