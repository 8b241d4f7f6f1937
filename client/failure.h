/* SPDX-License-Identifier: Apache-2.0 */
/*
 * failure: an objpool_error with the memory behind it, in one piece, so that it can be kept, copied and freed as one.
 */
#ifndef CLIENT_FAILURE_H
#define CLIENT_FAILURE_H

#include "objpool/client.h"

/* Takes apart what a response has as its error: a map, or a string "CODE: text". Never NULL: without memory, a constant. */
const struct objpool_error *failure_parse(struct objpool_bytes error);

/* One of this side's own making, about no slot and no item. Never NULL. */
const struct objpool_error *failure_make(const char *code, const char *message, enum objpool_ran ran);

/* One more owner, and one less; NULL is accepted. */
const struct objpool_error *failure_ref(const struct objpool_error *error);
const struct objpool_error *failure_unref(const struct objpool_error *error);

#endif
