/* SPDX-License-Identifier: Apache-2.0 */
/*
 * results: prints results on standard output in the form that --format names. The result of a call is one value; those of a
 * map come one by one and together make one file. Of a csv, each is printed when it comes; an npy must know its shape first, so
 * values wait in a temporary file.
 */
#ifndef CLI_RESULTS_H
#define CLI_RESULTS_H

#include "cli/cli.h"
#include "cli/csv.h"
#include "cli/npy.h"

enum results_format { RESULTS_JSON, RESULTS_PRETTY, RESULTS_CSV, RESULTS_NPY };

#define RESULTS_OPTION                                                                                                           \
	{                                                                                                                        \
		'f', "format", "FORM", "print results as json (default), pretty, csv or npy (see objpool(1))"                    \
	}

struct results {
	enum results_format format;
	struct csv csv;
	struct npy npy;
	FILE *waiting; /* values for an npy, each behind its size */
	uint64_t count;
	char reason[CSV_REASON];
};

/* Reads --format. EXIT_DONE, or EXIT_USAGE after it has printed an error. */
enum exit_status results_begin(struct results *results, const struct arguments *arguments, const char *command);

/* Whether results are one file: then none can be left out, nor an error stand in its place. */
bool results_are_one(const struct results *results);

/* Prints the value of a call. 0; -1 with `reason`: it has no such form, and nothing has been printed. */
int results_print(struct results *results, struct objpool_bytes value);

/* Prints the next value of a map, without an end of line where the form is JSON. 0; -1 with `reason`. */
int results_add(struct results *results, struct objpool_bytes value);

/* Prints what waits. 0; -1 with `reason`. */
int results_end(struct results *results);

void results_free(struct results *results);

#endif
