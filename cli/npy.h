/* SPDX-License-Identifier: Apache-2.0 */
/*
 * npy: writes values as one array of numpy, for `--format npy`: the format of numpy.save, version 1.0. The shape stands first, so
 * all values are looked at before any is written.
 *
 * A value is an ARRAY (docs/VALUES.md), a number, true or false, or an array of such values, as deep as it may be, that are
 * alike: arrays of the same length, ARRAYs of the same dtype and shape. Numbers become the narrowest of <i8, <u8 and <f8 that
 * holds all of them, booleans |b1.
 */
#ifndef CLI_NPY_H
#define CLI_NPY_H

#include "objpool/client.h"

#include <stdbool.h>
#include <stdio.h>

enum { NPY_DIMENSIONS = 64 };

struct npy {
	uint64_t lengths[NPY_DIMENSIONS]; /* of arrays within each other, outermost first */
	unsigned known;                   /* how many of these are known */
	unsigned levels;                  /* how many there are above a number or an ARRAY; known when there has been one */
	enum { NPY_EMPTY, NPY_NUMBERS, NPY_BOOLEANS, NPY_ARRAYS } kind;
	bool negative, large, fraction;   /* numbers: below 0; above 2^63 - 1; with a fraction */
	struct objpool_bytes dtype, dims; /* of ARRAYs: copies */
	const char *reason;
};

/* Takes a value over into the form of them all. 0; -1 with `reason`: there is no such form. */
int npy_learn(struct npy *npy, struct objpool_bytes value);

/*
 * Writes what stands before the elements. `count`: the values are that many, in an array of one dimension more; NULL: there is
 * one. 0; -1 with `reason`.
 */
int npy_write_header(struct npy *npy, FILE *out, const uint64_t *count);

/* Writes the elements of a value that npy_learn has had. */
void npy_write(const struct npy *npy, FILE *out, struct objpool_bytes value);

void npy_free(struct npy *npy);

#endif
