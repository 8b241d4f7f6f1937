/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor: what the real one does around the core, played: it begins and ends a world, makes and removes pools, has time
 * pass, and carries out what the core asks of it (core_ops).
 */
#ifndef SIM_SUPERVISOR_H
#define SIM_SUPERVISOR_H

#include "tests/sim/world.h"

/* A new world with its pools. */
struct world *supervisor_begin(uint64_t seed, bool verbose);

/* Repairs the world: nothing fails any more, and pools that are missing are made. */
void supervisor_calm_down(struct world *world);

/* Runs until all that is under way without a caller has ended. False: it does not end. */
bool supervisor_settle(struct world *world);

/* All players have gone: ends the pools, and checks that nothing is left. */
void supervisor_end(struct world *world);

void supervisor_pass_time(struct world *world);
void supervisor_resize(struct world *world);
void supervisor_replace_pool(struct world *world);
void supervisor_begin_drain(struct world *world);
void supervisor_probe(struct world *world); /* begins one, or looks at it */

#endif
