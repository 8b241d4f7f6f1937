/* SPDX-License-Identifier: Apache-2.0 */
/* audit: checks the core's own books: after each event, and when nothing is under way. */
#ifndef SIM_AUDIT_H
#define SIM_AUDIT_H

#include "tests/sim/world.h"

/* Called after each event. `thorough`: makes the expensive checks, too. */
void audit(struct world *world, bool thorough);

/* Called when everything has been answered: nothing may be in any queue or in any worker's hands. */
void audit_quiet(struct world *world);

#endif
