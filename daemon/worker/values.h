/* SPDX-License-Identifier: Apache-2.0 */
/* values: from packed bytes, which have been scanned, to msgpack objects that refer to them. */
#ifndef WORKER_VALUES_H
#define WORKER_VALUES_H

#include "proto/read.h"

#include <msgpack.h>

/* Takes the next value; its memory beyond the bytes comes from the zone. 0; -E2BIG: it is nested deeper than SCAN_LEVELS;
 * -ENOMEM. */
int values_next(struct reader *reader, msgpack_zone *zone, msgpack_object *object);

#endif
