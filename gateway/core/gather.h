/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather: a call of `all` or `scatter` over hosts. At its beginning the list of slots is made: those of each host that has a ready
 * instance, by the hosts' names, then by number. Each place of the list gets one result, whatever becomes of its host. A host is
 * asked once, for all of its slots.
 */
#ifndef GATEWAY_GATHER_H
#define GATEWAY_GATHER_H

#include "gateway/core/ask.h"
#include "gateway/core/session.h"

/* Begins it, or refuses it. 0; or -EEXIST: the msgid is in use. */
int gather_begin(struct session *session, const struct ask *ask);

#endif
