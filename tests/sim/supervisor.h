/* SPDX-License-Identifier: Apache-2.0 */
/*
 * supervisor: plays the supervisor around the core. It begins and ends a world, makes and removes pools, has time pass, and
 * carries out core_ops.
 */
#ifndef SIM_SUPERVISOR_H
#define SIM_SUPERVISOR_H

#include "tests/sim/world.h"

/* A new world with its pools. */
struct world *supervisor_begin(uint64_t seed, bool verbose);

/* Repairs the world: no allocation fails any more, and missing pools are made. */
void supervisor_calm_down(struct world *world);

/* Runs until the calls whose callers have gone have ended, too. False: they don't end. */
bool supervisor_settle(struct world *world);

/* All players have gone: ends the pools, and checks that nothing is left. */
void supervisor_end(struct world *world);

void supervisor_pass_time(struct world *world);
void supervisor_resize(struct world *world);
void supervisor_replace_pool(struct world *world);

/* A pool is paused, or resumes. */
void supervisor_pause(struct world *world);
void supervisor_begin_drain(struct world *world);
void supervisor_probe(struct world *world); /* begins a probe, or looks at its answer */

#endif
