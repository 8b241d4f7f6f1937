/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather: a call of `all` or `scatter` over hosts. At its beginning the list of slots is made: those of each host that has a
 * ready instance, by the hosts' names, then by number. Each place of the list gets one result, whatever becomes of its host. A
 * host is asked once, for all of its slots.
 */
#ifndef GATEWAY_GATHER_H
#define GATEWAY_GATHER_H

#include "gateway/core/ask.h"
#include "gateway/core/session.h"
#include "gateway/core/sticky.h"

/* Begins it, or refuses it. 0; or -EEXIST: the msgid is in use. */
int gather_begin(struct session *session, const struct ask *ask);

/* Sends a sticky call to one host, which has come since; `session` is for it alone. `done` is called at its end. 0, or negative:
 * it could not be begun. */
int gather_replay(struct session *session, struct sticky *sticky, struct host *host, void (*done)(void *context), void *context);

#endif
