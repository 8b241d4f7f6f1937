/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/arguments.h"

#include "proto/similar.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define REFUSE(arguments, ...) (snprintf((arguments)->reason, sizeof(arguments)->reason, __VA_ARGS__), -1)

static bool is_word(const char *text)
{
	return text[0] != '-' || text[1] == '\0' || text[1] == '.' || (text[1] >= '0' && text[1] <= '9');
}

/* Finds an option by its name of `size` characters, or, if `name` is NULL, by its letter. Sets *given to where its value is
 * kept. */
static const struct option *find(struct arguments *arguments, const char *name, size_t size, char letter, const char ***given)
{
	for (int t = 0; t < ARGUMENTS_TABLES; t++) {
		const struct option *table = arguments->tables[t];
		for (int i = 0; table && table[i].name; i++) {
			const bool same = name ? strlen(table[i].name) == size && memcmp(table[i].name, name, size) == 0
					       : table[i].letter == letter;
			*given = &arguments->given[t][i];
			if (same)
				return &table[i];
		}
	}
	return NULL;
}

/* The nearest option's name as "; did you mean --NAME?", or nothing. */
static const char *hint_of_option(const struct arguments *arguments, const char *name, size_t size, char hint[SIMILAR_HINT])
{
	struct similar similar = similar_to(name, size);

	for (int t = 0; t < ARGUMENTS_TABLES; t++)
		for (int i = 0; arguments->tables[t] && arguments->tables[t][i].name; i++)
			similar_offer(&similar, arguments->tables[t][i].name);
	return similar_hint(&similar, "--", hint);
}

/* Takes --name, --name=value, or --name value. Moves `*argv` behind what it has taken. */
static int parse_long(struct arguments *arguments, char ***argv, char *const *end)
{
	const char *name = **argv + 2;
	const char *equals = strchr(name, '=');
	const size_t size = equals ? (size_t)(equals - name) : strlen(name);
	const char **given;
	const struct option *option = find(arguments, name, size, 0, &given);
	char hint[SIMILAR_HINT];

	++*argv;
	if (!option)
		return REFUSE(arguments, "there is no option --%.*s%s", (int)size, name,
			      hint_of_option(arguments, name, size, hint));
	if (!option->value && equals)
		return REFUSE(arguments, "--%s takes no value", option->name);
	if (option->value && !equals && *argv == end)
		return REFUSE(arguments, "--%s wants %s", option->name, option->value);
	*given = !option->value ? "" : equals ? equals + 1 : *(*argv)++;
	return 0;
}

/* Takes -l, -lvalue, -l value, or -abc. */
static int parse_letters(struct arguments *arguments, char ***argv, char *const *end)
{
	const char *letters = *(*argv)++ + 1;
	const char **given;

	for (; *letters; letters++) {
		const struct option *option = find(arguments, NULL, 0, *letters, &given);
		if (!option)
			return REFUSE(arguments, "there is no option -%c", *letters);
		if (!option->value) {
			*given = "";
			continue;
		}
		if (!letters[1] && *argv == end)
			return REFUSE(arguments, "-%c wants %s", option->letter, option->value);
		*given = letters[1] ? letters + 1 : *(*argv)++;
		break;
	}
	return 0;
}

int arguments_parse(struct arguments *arguments, char **argv, int count, bool first_only)
{
	char *const *end = argv + count;
	bool only_words = false;

	arguments->words = argv;
	arguments->count = 0;
	while (argv != end) {
		int rc = 0;
		if (only_words || is_word(*argv)) {
			only_words = only_words || first_only;
			arguments->words[arguments->count++] = *argv++;
		} else if (strcmp(*argv, "--") == 0) {
			only_words = true;
			argv++;
		} else if ((*argv)[1] == '-') {
			rc = parse_long(arguments, &argv, end);
		} else {
			rc = parse_letters(arguments, &argv, end);
		}
		if (rc < 0)
			return rc;
	}
	return 0;
}

const char *arguments_get(const struct arguments *arguments, const char *name)
{
	for (int t = 0; t < ARGUMENTS_TABLES; t++)
		for (int i = 0; arguments->tables[t] && arguments->tables[t][i].name; i++)
			if (strcmp(arguments->tables[t][i].name, name) == 0)
				return arguments->given[t][i];
	return NULL;
}

int arguments_number(struct arguments *arguments, const char *name, uint32_t min, uint32_t *number)
{
	const char *text = arguments_get(arguments, name);
	char *end;

	if (!text)
		return 0;
	errno = 0;
	const unsigned long long value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value < min || value > UINT32_MAX)
		return REFUSE(arguments, "--%s: \"%s\" is no number from %u to %u", name, text, min, UINT32_MAX);
	*number = (uint32_t)value;
	return 0;
}

int arguments_integer(struct arguments *arguments, const char *name, int min, int max, int *number)
{
	const char *text = arguments_get(arguments, name);
	char *end;

	if (!text)
		return 0;
	errno = 0;
	const long value = strtol(text, &end, 10);
	if (end == text || *end || errno || value < min || value > max)
		return REFUSE(arguments, "--%s: \"%s\" is no number from %d to %d", name, text, min, max);
	*number = (int)value;
	return 0;
}

int arguments_seconds(struct arguments *arguments, const char *name, uint32_t *ms)
{
	const char *text = arguments_get(arguments, name);
	char *end;

	if (!text)
		return 0;
	const double value = strtod(text, &end);
	if (end == text || *end || !(value > 0) || value > UINT32_MAX / 1000.0)
		return REFUSE(arguments, "--%s: \"%s\" is no number of seconds", name, text);
	*ms = value < 0.001 ? 1 : (uint32_t)lround(value * 1000);
	return 0;
}

void arguments_help(const struct option *table, FILE *out)
{
	for (; table->name; table++) {
		char left[40];
		const char *value = table->value ? table->value : "";
		if (table->letter)
			snprintf(left, sizeof left, "-%c, --%s %s", table->letter, table->name, value);
		else
			snprintf(left, sizeof left, "    --%s %s", table->name, value);
		fprintf(out, "  %-26s %s\n", left, table->help);
	}
}
