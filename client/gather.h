/* SPDX-License-Identifier: Apache-2.0 */
/* gather: what calls with many results have in common. */
#ifndef CLIENT_GATHER_H
#define CLIENT_GATHER_H

#include "objpool/client.h"

/* "sim.step" or "sim:all.step" with ":all" becomes "sim:all". -EINVAL: it has no dot, or another selector. */
int gather_target(char *target, size_t size, const char *method, const char *selector);

#endif
