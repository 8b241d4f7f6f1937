/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map: a map over hosts. Each host gets a streamed map that is fed: the items go there against the credit that its daemon gives,
 * so that chunks, windows and back-pressure are the daemon's own, and a host that is faster gets more. A host that comes while
 * the map runs gets its share of the items that wait.
 *
 *   input --feed--> host 1: has        results (in order, or as they come) --> the client
 *        \--feed--> host 2: has   -->
 */
#ifndef GATEWAY_MAP_H
#define GATEWAY_MAP_H

#include "gateway/core/ask.h"
#include "gateway/core/session.h"

/* Begins it, or refuses it. `block` holds the message. 0; or -EEXIST: the msgid is in use. */
int map_begin(struct session *session, const struct ask *ask, struct block *block);

#endif
