/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rounds: a map over hosts with the option sync. A round is one item for each slot of all hosts, in the order of the hosts' names
 * and then by number; the next one begins when each of them has its result. Which slots there are is looked at before each round,
 * so hosts that come and go are in the next. Each item is a call of its own, to its slot.
 */
#ifndef GATEWAY_ROUNDS_H
#define GATEWAY_ROUNDS_H

#include "gateway/core/ask.h"
#include "gateway/core/session.h"

/* Begins it, or refuses it. `block` holds the message. 0; or -EEXIST: the msgid is in use. */
int rounds_begin(struct session *session, const struct ask *ask, struct block *block);

#endif
