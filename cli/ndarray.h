/* SPDX-License-Identifier: Apache-2.0 */
/* ndarray: reads values of ext type ARRAY, and writes them and those of type OBJECT (docs/VALUES.md) for people. */
#ifndef CLI_NDARRAY_H
#define CLI_NDARRAY_H

#include "objpool/client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { EXT_OBJECT = 80, EXT_ARRAY = 81, NDARRAY_DIMENSIONS = 32 };

struct ndarray {
	char order, kind; /* order: '<', '>' or '|'; kind: 'b', 'i', 'u', 'f', or 0: JSON has no form for the elements */
	size_t item;      /* bytes of an element; 0 also where an array of kind 0 has no elements */
	uint32_t dimensions;
	uint64_t shape[NDARRAY_DIMENSIONS], steps[NDARRAY_DIMENSIONS]; /* steps in elements */
	const unsigned char *elements;
	struct objpool_bytes dtype, dims; /* as they are packed */
};

/* Takes the bytes of an ARRAY apart; the array refers to them. False: they are none. */
bool ndarray_read(struct ndarray *array, const void *bytes, size_t size);

/* Whether the array has no element. */
bool ndarray_is_empty(const struct ndarray *array);

/* Writes one element as JSON, of an array whose kind is not 0. */
void ndarray_write_element(FILE *out, const struct ndarray *array, const unsigned char *at);

/* One element, of an array of kind 'f'. */
double ndarray_double(const struct ndarray *array, const unsigned char *at);

/*
 * Writes the array as nested JSON arrays, or as {"$array": [DTYPE, SHAPE]} when JSON has no form for its elements. False, and
 * nothing is written: the bytes are no ARRAY.
 */
bool ndarray_write(FILE *out, const void *bytes, size_t size);

/* The same on several lines: those after the first begin with `indent` tabs, and a line holds one row. */
bool ndarray_write_pretty(FILE *out, const void *bytes, size_t size, unsigned indent);

/* Writes {"$object": "pickle, 57 bytes"}. False, and nothing is written: the bytes are no OBJECT. */
bool ndarray_write_object(FILE *out, const void *bytes, size_t size);

#endif
