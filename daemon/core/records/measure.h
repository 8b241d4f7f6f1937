/* SPDX-License-Identifier: Apache-2.0 */
/*
 * measure: what calls of one method took. Made when the first of them is answered; a pool measures at most MEASURE_MAX methods
 * each for itself, and all others as one, so that names that clients make up cost no memory without end.
 */
#ifndef CORE_MEASURE_H
#define CORE_MEASURE_H

#include "daemon/core/records/methods.h"

enum { MEASURE_MAX = 128, MEASURE_NAME_MAX = 255 };

/* `count` calls have been answered, `failed` of them with errors, and took so long. `method` may be NULL: one that the pool does not know by name. */
void measure_add_calls(struct methods *methods, struct method *method, uint64_t nanoseconds, uint32_t count, uint32_t failed);

/* A worker has run `count` tasks, each of which took so long on average. */
void measure_add_runs(struct methods *methods, struct method *method, uint64_t nanoseconds, uint32_t count);

/* One measure after the other, in no order, with the method's name, and last, as "(other)", the others; *at begins at 0. NULL:
 * no more. */
const struct measure *measure_next(const struct methods *methods, uint32_t *at, const char **name);

/* The calls of all methods as one. */
void measure_all_calls(const struct methods *methods, struct histogram *sum);

#endif
