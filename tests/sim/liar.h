/* SPDX-License-Identifier: Apache-2.0 */
/* liar: messages of workers that break the protocol. The core must notice and kill the worker, and nobody else is hurt. */
#ifndef SIM_LIAR_H
#define SIM_LIAR_H

#include "tests/sim/fake.h"

/* The worker lies, in its messages or on its board. */
void liar_lie(struct fake *fake);

/* Reports the end of a worker in an odd way: of one that was just asked for, or of none. */
void liar_end(struct world *world);

#endif
