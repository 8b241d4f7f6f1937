/* SPDX-License-Identifier: Apache-2.0 */
/* liar: messages of workers that break the protocol. The core must notice and kill the worker, and nobody else is hurt. */
#ifndef SIM_LIAR_H
#define SIM_LIAR_H

#include "tests/sim/fake.h"

/* The worker lies in its messages or on its board. */
void liar_lie(struct fake *fake);

/* Tells the core of the end of a worker that is starting, in an odd way; or of the end of a worker twice, or of none. */
void liar_end(struct world *world);

#endif
