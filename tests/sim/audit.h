/* SPDX-License-Identifier: Apache-2.0 */
/* audit: what must hold of the core's own books, between any two events, and when nothing goes on. */
#ifndef SIM_AUDIT_H
#define SIM_AUDIT_H

#include "tests/sim/world.h"

/* After each event; with `thorough` also what costs more. */
void audit(struct world *world, bool thorough);

/* Everything has been answered, and nothing is in anybody's hands. */
void audit_quiet(struct world *world);

#endif
