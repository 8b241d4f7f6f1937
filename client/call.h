/* SPDX-License-Identifier: Apache-2.0 */
/* call: what maps share with calls. */
#ifndef CLIENT_CALL_H
#define CLIENT_CALL_H

#include "objpool/client.h"

/* "sim.step" or "sim:all.step" with ":all" becomes "sim:all". -EINVAL: it has no dot, or another selector. */
int call_target(char *target, size_t size, const char *method, const char *selector);

/*
 * Calls `item` for each of the [error, value] of a result with errors: "collect", until it returns something else than 0, and
 * returns that. -EPROTO: the result isn't one.
 */
typedef objpool_each call_item;
int call_each(struct objpool_bytes collected, call_item *item, void *context);

#endif
