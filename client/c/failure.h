/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failure: an objpool_error together with its strings in one allocation, with a count of references.
 */
#ifndef CLIENT_C_FAILURE_H
#define CLIENT_C_FAILURE_H

#include "objpool/client.h"

/* Reads the error of a response: a map, or a string "CODE: text". Never NULL: if there is no memory, a constant error. */
const struct objpool_error *failure_parse(struct objpool_bytes error);

/* The same, of a call of which is known whether it ran. */
const struct objpool_error *failure_parse_as(struct objpool_bytes error, enum objpool_ran ran);

/* Makes an error of this side, about no slot and no item. Never NULL. */
const struct objpool_error *failure_make(const char *code, const char *message, enum objpool_ran ran);

/* Add and drop a reference. Accept NULL. failure_unref returns NULL. */
const struct objpool_error *failure_ref(const struct objpool_error *error);
const struct objpool_error *failure_unref(const struct objpool_error *error);

#endif
