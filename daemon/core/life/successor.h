/* SPDX-License-Identifier: Apache-2.0 */
/*
 * successor: a slot gets a new instance, the successor, before the old instance goes. The successor has a generation of its
 * own. It is built in a slot of its own while the old instance serves. When the successor is ready and it is time, the old
 * instance gets no more tasks, finishes those that it has, and hands its state over if the class can do that. Then the
 * successor takes its place.
 *
 *   old   READY ------------> retires: finishes what it has --snapshot--> stops
 *   new          STARTING --> READY ............................ restore, takes the place --> serves
 *
 * If the successor can't be built, the old instance serves on.
 */
#ifndef CORE_SUCCESSOR_H
#define CORE_SUCCESSOR_H

#include "daemon/core/records/slot.h"

/* Has the instance replaced: begins to build a successor, or, if a successor waits until max_calls is reached, ends this wait.
 * `cause`: a static text, why. False: the slot can't have a successor now. */
bool successor_begin(struct slot *old, const char *cause);

/* The same for an instance that has become old or large: returns false while it is leased, or has put calls off. */
bool successor_recycle(struct slot *old, const char *cause);

/* A step of slot_step: begins to build a successor if the instance has come near max_calls, or is older than max_age; retires the
 * instance if its successor is ready and it is time. */
void successor_begin_or_retire(struct slot *slot);

/* The successor won't get its predecessor's state, and is about to be told what to replay: moves the sticky tasks that the old
 * instance has not begun to the successor. */
void successor_take_sticky(struct slot *successor);

/* The successor could not be built: the old instance stays. */
void successor_on_failed(struct slot *successor);

/* The old instance has finished its tasks, and handed over its state (size 0: none): the successor takes its place. */
void successor_take_place(struct slot *successor, struct span state, struct block *block);

/* The old instance leaves the pool and needs no successor: ends the successor. */
void successor_discard(struct slot *successor);

#endif
