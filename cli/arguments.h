/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arguments: a command line, taken apart by tables of options. Options may stand before, between and after words; what looks
 * like a negative number is a word, and so is everything after "--".
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
	const char *value; /* what its value is called; NULL: it has none */
	const char *help;
};

enum { ARGUMENTS_TABLES = 2, ARGUMENTS_OPTIONS = 24 };

struct arguments {
	const struct option *tables[ARGUMENTS_TABLES];
	const char *given[ARGUMENTS_TABLES][ARGUMENTS_OPTIONS]; /* "" for one without a value */
	char **words; /* in argv, NULL at the end */
	int count;
	char reason[160];
};

/*
 * Takes the first `count` of argv apart; words are gathered in argv itself. With `first_only`, what follows the first word is
 * words too, whatever it looks like. 0, or -1 with a sentence in `reason`.
 */
int arguments_parse(struct arguments *arguments, char **argv, int count, bool first_only);

/* What was given for the option; "" for one without a value; NULL: it was not given. */
const char *arguments_get(const struct arguments *arguments, const char *name);

/* A whole number, at least `min`, from the option, if given: else *number stays. 0, or -1 with a sentence in `reason`. */
int arguments_number(struct arguments *arguments, const char *name, uint32_t min, uint32_t *number);

/* Likewise seconds, which may have a fraction, as milliseconds; more than none. */
int arguments_seconds(struct arguments *arguments, const char *name, uint32_t *ms);

/* Lists a table's options, for people. */
void arguments_help(const struct option *table, FILE *out);

#endif
