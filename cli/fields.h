/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fields: what the daemon tells of itself are maps; a newer daemon may say more in them and an older one less, so everything
 * that is asked for may be missing.
 */
#ifndef CLI_FIELDS_H
#define CLI_FIELDS_H

#include "objpool/client.h"

#include <stdio.h>

/* The value of `key` in a packed map; none when there is none, or no map. */
struct objpool_bytes field(struct objpool_bytes map, const char *key);

/* Whether there is anything to show: a value that is not nil, not an empty string, array or map. */
bool field_is_set(struct objpool_bytes value);

/* The number, or `otherwise`. */
double field_number(struct objpool_bytes value, double otherwise);

/* Calls `each` for every element of a packed array. */
void field_each(struct objpool_bytes array, void (*each)(void *context, struct objpool_bytes element), void *context);

/*
 * Writes a value for people: text as it is, but nothing in it that a terminal would take for a command; "-" for what is
 * missing or nil; else JSON.
 */
void field_show(FILE *out, struct objpool_bytes value);

#endif
