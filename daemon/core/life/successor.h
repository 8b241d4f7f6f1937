/* SPDX-License-Identifier: Apache-2.0 */
/*
 * successor: a new instance for a slot that is up before the old one goes. It is built aside, with a number of its own
 * generation, while the old one serves. Once it is ready, and the old one has had its calls, the old one
 * is given nothing more, finishes what it has, hands its state over if the class can, and the successor takes its place.
 *
 *   old   READY ------------> retires: finishes what it has --snapshot--> stops
 *   new          STARTING --> READY ............................ restore, takes the place --> serves
 *
 * A successor that can't be built changes nothing: the old one serves on.
 */
#ifndef CORE_SUCCESSOR_H
#define CORE_SUCCESSOR_H

#include "daemon/core/records/slot.h"

/* Begins. False: there is one under way, or the slot isn't one that can have one now. */
bool successor_begin(struct slot *old);

/* The same for an instance that has become old or large: not while it is leased, or has put calls off. */
bool successor_recycle(struct slot *old);

/* Should the instance be replaced by what the pool's settings say of calls? Begins, if so; or goes on, if its successor is ready
 * and the time has come. */
void successor_consider(struct slot *slot);

/* A successor without its predecessor's state is about to be told what to replay: it gets the sticky tasks that the old one
 * has not begun. */
void successor_take_sticky(struct slot *successor);

/* The successor could not be built. */
void successor_on_failed(struct slot *successor);

/* The old one has stopped taking calls, with its state (size 0: none): the successor takes the place. */
void successor_take_place(struct slot *successor, struct span state, struct block *block);

/* The old one shall not be replaced after all: it leaves. */
void successor_discard(struct slot *successor);

#endif
