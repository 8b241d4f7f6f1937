/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fields: reads the maps in which the daemon tells of itself. A newer daemon may put more into them and an older one less, so
 * each key may be missing.
 */
#ifndef CLI_FIELDS_H
#define CLI_FIELDS_H

#include "objpool/client.h"

#include <stdio.h>

/* The value of `key` in a packed map. An empty value: the key is missing, or it is no map. */
struct objpool_bytes field(struct objpool_bytes map, const char *key);

/* Is the value there, and neither nil nor an empty string, array or map? */
bool field_is_set(struct objpool_bytes value);

/* The number, or `otherwise`. */
double field_number(struct objpool_bytes value, double otherwise);

/* Calls `each` for every element of a packed array. */
void field_each(struct objpool_bytes array, void (*each)(void *context, struct objpool_bytes element), void *context);

/*
 * Writes a value for people: text as it is, but escaped (shown.h); "-" for a value that is missing or nil; otherwise JSON.
 */
void field_show(FILE *out, struct objpool_bytes value);

#endif
