/* SPDX-License-Identifier: Apache-2.0 */
/* events: which of the events that have happened somebody sees, and what is said of each (docs/OPERATIONS.md, "Events"). */
#ifndef SUPERVISOR_EVENTS_H
#define SUPERVISOR_EVENTS_H

#include "daemon/core/records/rights.h"
#include "daemon/supervisor/log/happened.h"

#include <msgpack.h>

/* What somebody wants to see. */
struct events_wish {
	uint64_t kinds;           /* a bit for each happened_kind */
	char pool[HAPPENED_POOL]; /* only events of this pool; "": of all, and of the daemon */
	uint64_t after;           /* only events with greater numbers */
	int64_t since;            /* only those since then: milliseconds since 1970 */
};

/* All kinds but comings and goings, which are many. */
uint64_t events_usual_kinds(void);

/* Adds the kinds that the word names to *kinds. False: it names none. */
bool events_add_kinds(uint64_t *kinds, struct span word);

/* Are comings and goings wanted? */
bool events_want_comings(const struct events_wish *wish);

/* Is the event wanted, and may it be seen with these rights? `all`: they let see all of the daemon. */
bool events_show(const struct events_wish *wish, const struct rights *rights, bool all, const struct happened_event *event);

/* Packs the event, as a map. */
void events_pack(const struct happened_event *event, msgpack_packer *packer);

/* Packs what stands for `lost` events before the event. */
void events_pack_lost(const struct happened_event *before, uint64_t lost, msgpack_packer *packer);

#endif
