/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/config/config_values.h"

#include "daemon/supervisor/config/address.h"
#include "daemon/supervisor/config/config.h"
#include "daemon/supervisor/config/config_words.h"
#include "daemon/supervisor/config/json.h"
#include "proto/cage.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>

enum { LISTEN_MAX = 256 };

/* What is wrong with a value, as the end of a sentence; NULL: nothing. */
typedef const char *set_fn(void *field, const struct config_option *option, const char *text);

static const char *set_text(void *field, const struct config_option *option, const char *text)
{
	char *copy = text[0] ? strdup(text) : NULL;
	if (!copy)
		return option->preset ? "must not be empty" : "is empty";
	free(*(char **)field);
	*(char **)field = copy;
	return NULL;
}

static const char *set_bool(void *field, const struct config_option *option, const char *text)
{
	(void)option;
	const bool yes = !strcmp(text, "yes") || !strcmp(text, "true") || !strcmp(text, "on") || !strcmp(text, "1");
	const bool no = !strcmp(text, "no") || !strcmp(text, "false") || !strcmp(text, "off") || !strcmp(text, "0");
	if (!yes && !no)
		return "must be yes or no";
	*(bool *)field = yes;
	return NULL;
}

static int parse_number(const char *text, int base, uint64_t *value, const char **rest)
{
	char *end;
	if (text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	*value = strtoull(text, &end, base);
	*rest = end;
	return errno ? -1 : 0;
}

static const char *set_count(void *field, const struct config_option *option, const char *text)
{
	const char *rest;
	uint64_t value;
	if (parse_number(text, 10, &value, &rest) < 0 || *rest)
		return "must be a whole number";
	if (value < option->min || value > option->max)
		return "is out of range";
	*(uint64_t *)field = value;
	return NULL;
}

static const char *set_size(void *field, const struct config_option *option, const char *text)
{
	static const char units[] = "KMG";
	const char *rest;
	uint64_t value;

	if (parse_number(text, 10, &value, &rest) < 0)
		return "must be a number of bytes, as in 65536, 64K, 16M or 1G";
	const char *unit = *rest ? strchr(units, *rest) : NULL;
	if (*rest && (!unit || rest[1]))
		return "must be a number of bytes, as in 65536, 64K, 16M or 1G";
	for (const char *u = units; unit && u <= unit; u++)
		if (__builtin_mul_overflow(value, 1024, &value))
			return "is out of range";
	if (value < option->min || value > option->max)
		return "is out of range";
	*(uint64_t *)field = value;
	return NULL;
}

static const char *set_memory(void *field, const struct config_option *option, const char *text)
{
	uint64_t value;

	if (!strcmp(text, "half")) {
		*(uint64_t *)field = CONFIG_HALF;
		return NULL;
	}
	const char *reason = set_size(&value, option, text);
	if (!reason && value > 0 && value < CONFIG_MEMORY_MIN)
		return "is out of range: it must be 1M at least, or 0 for no limit";
	if (!reason)
		*(uint64_t *)field = value;
	return reason;
}

static const char *set_seconds(void *field, const struct config_option *option, const char *text)
{
	char *end;
	if (!strcmp(text, "never")) {
		*(uint64_t *)field = NEVER;
		return NULL;
	}
	errno = 0;
	const double value = strtod(text, &end);
	if (end == text || *end || errno || !(value >= 0 && value <= 1e8))
		return "must be a number of seconds, or never";
	if (value * (double)SECOND < (double)option->min)
		return "is too short: it must be 0.001 at least, or never";
	*(uint64_t *)field = (uint64_t)(value * (double)SECOND);
	return NULL;
}

static const char *set_mode(void *field, const struct config_option *option, const char *text)
{
	const char *rest;
	uint64_t value;
	if (parse_number(text, 8, &value, &rest) < 0 || *rest || value > option->max)
		return "must be an octal mode, as in 0660";
	*(uint64_t *)field = value;
	return NULL;
}

static const char *set_workers(void *field, const struct config_option *option, const char *text)
{
	struct config_pool *pool = container_of(field, struct config_pool, workers);
	const char *rest;
	uint64_t value;

	if (!strcmp(text, "cpus")) {
		pool->workers_cpus = true;
		return NULL;
	}
	if (parse_number(text, 10, &value, &rest) < 0 || *rest || value < option->min || value > option->max)
		return "must be a number from 0 to 4096, or cpus";
	pool->workers = (uint32_t)value;
	pool->workers_cpus = false;
	return NULL;
}

static const char *set_json(void *field, const struct config_option *option, const char *text)
{
	static char reason[256]; /* outlives the call; the next error replaces it */
	struct config_json *json = field;
	struct block *packed;
	struct span value;

	(void)option;
	if (json_to_msgpack(text, &packed, &value, reason, sizeof reason) < 0)
		return reason;
	block_unref(json->packed);
	free(json->text);
	json->packed = packed;
	json->value = value;
	json->text = strdup(text);
	return json->text ? NULL : config_not_kept;
}

/* "must be a, b or c" */
static const char *say_choices(const char *const *choices)
{
	static char reason[128]; /* outlives the call; the next error replaces it */
	size_t n = (size_t)snprintf(reason, sizeof reason, "must be %s", choices[0]);

	for (uint32_t i = 1; choices[i] && n < sizeof reason; i++)
		n += (size_t)snprintf(reason + n, sizeof reason - n, "%s%s", choices[i + 1] ? ", " : " or ", choices[i]);
	return reason;
}

static const char *set_choice(void *field, const struct config_option *option, const char *text)
{
	for (uint32_t i = 0; option->choices[i]; i++)
		if (!strcmp(text, option->choices[i])) {
			*(uint32_t *)field = i;
			return NULL;
		}
	return say_choices(option->choices);
}

static const char *set_list(void *field, const struct config_option *option, const char *text)
{
	struct config *config = container_of(field, struct config, listen);
	struct address address;
	static char reason[192];

	(void)option;
	if (address_parse(&address, text, reason, sizeof reason) < 0)
		return address_cause(text, reason);
	if (config->listen_count == LISTEN_MAX)
		return "is one address too many";
	return config_add_listen(config, text, NULL) < 0 ? config_not_kept : NULL;
}

static const char *set_integer(void *field, const struct config_option *option, const char *text)
{
	static char reason[64];
	const long min = (long)option->min, max = (long)option->max;
	char *end;

	errno = 0;
	const long value = strtol(text, &end, 10);
	if (end == text || *end || errno || value < min || value > max) {
		snprintf(reason, sizeof reason, "must be a number from %ld to %ld", min, max);
		return reason;
	}
	*(int32_t *)field = (int32_t)value;
	return NULL;
}

static const char *set_cpus(void *field, const struct config_option *option, const char *text)
{
	cpu_set_t set;

	if (cage_parse_cpus(text, strlen(text), &set) < 0)
		return "must be numbers of CPUs, as in 0-3,8";
	return set_text(field, option, text);
}

static const char *set_group(void *field, const struct config_option *option, const char *text)
{
	return getgrnam(text) ? set_text(field, option, text) : "there is no such group";
}

static const char *set_address(void *field, const struct config_option *option, const char *text)
{
	struct config_address *address = field;
	struct address parsed;
	static char reason[192];

	(void)option;
	if (address_parse(&parsed, text, reason, sizeof reason) < 0)
		return address_cause(text, reason);
	free(address->text);
	address->text = strdup(text);
	return address->text ? NULL : config_not_kept;
}

/* The nanoseconds of "/s", "/m" and "/h" at the front; 0: these are others. */
static uint64_t read_period(const char *text)
{
	static const char units[] = "smh";
	static const uint64_t periods[] = {SECOND, 60 * SECOND, 3600 * SECOND};
	const char *unit = text[0] == '/' && text[1] ? strchr(units, text[1]) : NULL;

	return unit ? periods[unit - units] : 0;
}

/* N/s, or N/s burst N. Without a burst, as many calls may come at once as in the whole period. */
static const char *set_rate(void *field, const struct config_option *option, const char *text)
{
	static const char reason[] = "must be as 200/s, 10/m or 200/s burst 400";
	struct config_rate rate;
	const char *rest;

	if (parse_number(text, 10, &rate.calls, &rest) < 0 || !(rate.period = read_period(rest)))
		return reason;
	rest += 2;
	rate.burst = rate.calls;
	const size_t blank = strspn(rest, " \t");
	if (*rest && (blank == 0 || strncmp(rest + blank, "burst", 5) != 0 ||
		      parse_number(rest + blank + 5 + strspn(rest + blank + 5, " \t"), 10, &rate.burst, &rest) < 0 || *rest))
		return reason;
	if (rate.calls < option->min || rate.calls > option->max || rate.burst < option->min || rate.burst > option->max)
		return "is out of range";
	*(struct config_rate *)field = rate;
	return NULL;
}

static set_fn *const setters[] = {
	[T_TEXT] = set_text, [T_LIST] = set_list,     [T_ADDRESS] = set_address, [T_BOOL] = set_bool, [T_COUNT] = set_count,
	[T_METHODS] = config_set_words, [T_POOLS] = config_set_words, [T_YES] = config_set_words,
	[T_NAMES] = config_set_words, [T_UIDS] = config_set_words, [T_GIDS] = config_set_words,
	[T_CERTIFICATES] = config_set_words, [T_TOKENS] = config_set_words,
	[T_HOSTS] = config_set_words, [T_ORIGINS] = config_set_words,
	[T_MACHINES] = config_set_words, [T_BUS] = config_set_words,
	[T_SIZE] = set_size, [T_MEMORY] = set_memory, [T_SECONDS] = set_seconds, [T_MODE] = set_mode, [T_WORKERS] = set_workers,
	[T_JSON] = set_json, [T_CHOICE] = set_choice, [T_GROUP] = set_group,
	[T_INTEGER] = set_integer, [T_CPUS] = set_cpus,
	[T_RATE] = set_rate,
};

const char *config_set_value(void *field, const struct config_option *option, const char *text)
{
	return setters[option->type](field, option, text);
}

void config_preset(void *base, const struct config_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->options[i].preset)
			(void)config_set_value((char *)base + table->options[i].at, &table->options[i], table->options[i].preset);
}
