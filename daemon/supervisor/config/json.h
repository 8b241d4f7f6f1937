/* SPDX-License-Identifier: Apache-2.0 */
/* json: values of the configuration, from JSON to msgpack. */
#ifndef SUPERVISOR_JSON_H
#define SUPERVISOR_JSON_H

#include "proto/block.h"
#include "proto/read.h"

/* 0, with *packed the caller's to unref and *value in it; or -1 with what is wrong in `reason`, the end of a sentence. */
int json_to_msgpack(const char *text, struct block **packed, struct span *value, char *reason, size_t reason_size);

#endif
