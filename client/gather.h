/* SPDX-License-Identifier: Apache-2.0 */
/* gather: what maps share with other calls that have many results. */
#ifndef CLIENT_GATHER_H
#define CLIENT_GATHER_H

#include "objpool/client.h"

/* "sim.step" or "sim:all.step" with ":all" becomes "sim:all". -EINVAL: it has no dot, or another selector. */
int gather_target(char *target, size_t size, const char *method, const char *selector);

/*
 * Calls `item` for each of the [error, value] of a result with errors: "collect", until it returns something else than 0, and
 * returns that. -EPROTO: the result isn't one.
 */
int gather_each(struct objpool_bytes collected, objpool_each *item, void *context);

#endif
