/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arguments: reads a command line by tables of options. Options may stand before, between and after words. What looks like a
 * negative number is a word, and so is everything after "--".
 */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* A table ends with a row of NULLs. */
struct option {
	char letter;       /* or 0 */
	const char *name;  /* without its dashes */
	const char *value; /* the name of its value in help texts; NULL: it has no value */
	const char *help;
};

enum { ARGUMENTS_TABLES = 2, ARGUMENTS_OPTIONS = 24 };

struct arguments {
	const struct option *tables[ARGUMENTS_TABLES];
	const char *given[ARGUMENTS_TABLES][ARGUMENTS_OPTIONS]; /* values; "" for an option without a value */
	char **words; /* in argv, NULL at the end */
	int count;
	char reason[160];
};

/*
 * Reads the first `count` of argv, and moves the words to the front of argv. With `first_only`, all that follows the first word
 * are words, too, whatever they look like. 0, or -1 with `reason` set.
 */
int arguments_parse(struct arguments *arguments, char **argv, int count, bool first_only);

/* The value that was given for the option; "" for an option without a value; NULL: the option was not given. */
const char *arguments_get(const struct arguments *arguments, const char *name);

/* Reads a whole number of at least `min`. Leaves *number as it is if the option was not given. 0, or -1 with `reason` set. */
int arguments_number(struct arguments *arguments, const char *name, uint32_t min, uint32_t *number);

/* The same for a number from `min` to `max`, which may be negative. */
int arguments_integer(struct arguments *arguments, const char *name, int min, int max, int *number);

/* Reads seconds, more than 0 and perhaps with a fraction, as milliseconds. Otherwise as arguments_number. */
int arguments_seconds(struct arguments *arguments, const char *name, uint32_t *ms);

/* Prints a table's options for --help. */
void arguments_help(const struct option *table, FILE *out);

#endif
