/* SPDX-License-Identifier: Apache-2.0 */
/* values: makes msgpack objects of packed bytes that have been scanned. The objects refer to the bytes. */
#ifndef WORKER_VALUES_H
#define WORKER_VALUES_H

#include "proto/read.h"

#include <msgpack.h>

/* Makes an object of the next value. 0; 1: it has memory of the zone; -E2BIG: the value is nested deeper than SCAN_LEVELS;
 * -ENOMEM. */
int values_next(struct reader *reader, msgpack_zone *zone, msgpack_object *object);

#endif
