/* SPDX-License-Identifier: Apache-2.0 */
/* ndarray: writes values of ext type ARRAY and OBJECT (docs/VALUES.md) for people. */
#ifndef CLI_NDARRAY_H
#define CLI_NDARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { EXT_OBJECT = 80, EXT_ARRAY = 81 };

/*
 * Writes the array as nested JSON arrays, or as {"$array": [DTYPE, SHAPE]} when JSON has no form for its elements. False, and
 * nothing is written: the bytes are no ARRAY.
 */
bool ndarray_write(FILE *out, const void *bytes, size_t size);

/* Writes {"$object": "pickle, 57 bytes"}. False, and nothing is written: the bytes are no OBJECT. */
bool ndarray_write_object(FILE *out, const void *bytes, size_t size);

#endif
