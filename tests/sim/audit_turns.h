/* SPDX-License-Identifier: Apache-2.0 */
/* audit_turns: in a pool's queue, priorities have their turns as queue.h says, and none waits longer. */
#ifndef SIM_AUDIT_TURNS_H
#define SIM_AUDIT_TURNS_H

#include "tests/sim/world.h"

/* Is called after each event. */
void audit_turns(struct world *world);

#endif
