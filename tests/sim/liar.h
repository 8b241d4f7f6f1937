/* SPDX-License-Identifier: Apache-2.0 */
/* liar: what a worker says that is out of its mind. The core must see it and kill it, and nobody else is hurt. */
#ifndef SIM_LIAR_H
#define SIM_LIAR_H

#include "tests/sim/fake.h"

/* The worker lies, in its messages or on its board. */
void liar_lie(struct fake *fake);

/* A worker that was just asked for, or none: its end is told of in an odd way. */
void liar_end(struct world *world);

#endif
