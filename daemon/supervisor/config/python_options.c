/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/config/python_options.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The plugin python and the worker have room for as many, of that size with their ends. */
enum { OPTIONS_MAX = 64, OPTION_SIZE = 1024 };

static const char seed[] = "PYTHONHASHSEED=";

static const char *check_seed(const char *value)
{
	char *end;

	if (strcmp(value, "random") == 0)
		return NULL;
	const unsigned long long number = strtoull(value, &end, 10);
	return isdigit((unsigned char)value[0]) && !*end && number <= UINT32_MAX
		       ? NULL
		       : "must have a number below 4294967296, or \"random\"";
}

static const char *check_long(const char *option)
{
	return strncmp(option, "--help", 6) == 0 || strcmp(option, "--version") == 0 ? "makes Python print something and end"
										      : "is no option that a pool's Python takes";
}

/* Options of one letter each, the last of which may have an argument: the rest, or the next text. */
static const char *check_letters(const char *letters, bool *takes_next)
{
	for (; *letters; letters++) {
		if (*letters == 'W' || *letters == 'X') {
			*takes_next = !letters[1];
			return NULL;
		}
		if (*letters == 'c' || *letters == 'm')
			return "runs a program: Python runs the pool's class here";
		if (strchr("hV?", *letters))
			return "makes Python print something and end";
		if (!strchr("BEIOPRSbdiqsuvx", *letters))
			return "is no option of Python";
	}
	return NULL;
}

static const char *check_option(const char *option, bool *takes_next)
{
	if (strncmp(option, seed, sizeof seed - 1) == 0)
		return check_seed(option + sizeof seed - 1);
	if (strncmp(option, "PYTHON", 6) == 0)
		return "can't be set: of Python's variables only PYTHONHASHSEED can";
	if (option[0] != '-' || !option[1])
		return "is no option of Python: options begin with \"-\"";
	return option[1] == '-' ? check_long(option) : check_letters(option + 1, takes_next);
}

/* Is it kept as it is, as a string of C? NULL: yes. */
static const char *check_form(struct span text)
{
	return text.size >= OPTION_SIZE            ? "is too long"
	       : memchr(text.bytes, 0, text.size) ? "has a zero byte"
						  : NULL;
}

const char *python_options_check(struct span options, char reason[PYTHON_OPTIONS_REASON])
{
	struct reader reader = reader_of(options);
	char option[OPTION_SIZE] = "";
	const char *wrong = NULL;
	bool is_argument = false;
	struct span text;
	uint32_t n;

	if (read_array(&reader, &n) < 0)
		return "must be an array of strings";
	if (n > OPTIONS_MAX)
		return "has more than 64 options";
	for (uint32_t i = 0; i < n && !wrong && read_text(&reader, &text) == 0; i++) {
		const size_t size = text.size < OPTION_SIZE ? text.size : OPTION_SIZE - 1;
		memcpy(option, text.bytes, size);
		option[size] = '\0';
		wrong = check_form(text);
		if (!wrong && !is_argument)
			wrong = check_option(option, &is_argument);
		else
			is_argument = false;
	}
	if (!wrong && is_argument)
		wrong = "needs an argument: the next string, or the rest of this one";
	if (!wrong)
		return NULL;
	(void)snprintf(reason, PYTHON_OPTIONS_REASON, "\"%.100s\" %s", option, wrong);
	return reason;
}
