/* SPDX-License-Identifier: Apache-2.0 */
/* config_print: the configuration as a file would say it, for --print-config. */
#include "daemon/supervisor/config/config.h"
#include "daemon/supervisor/config/config_table.h"

static void print_size(FILE *to, uint64_t value)
{
	static const char units[] = "\0KMG";
	int unit = 0;
	while (unit < 3 && value && value % 1024 == 0) {
		value /= 1024;
		unit++;
	}
	fprintf(to, "%llu", (unsigned long long)value);
	if (unit)
		fputc(units[unit], to);
}

static void print_seconds(FILE *to, uint64_t value)
{
	if (value == NEVER)
		fputs("never", to);
	else
		fprintf(to, "%.9g", (double)value / (double)SECOND);
}

static void print_list(const struct config *config, FILE *to)
{
	for (uint32_t i = 0; i < config->listen_count; i++)
		fprintf(to, "listen = %s\n", config->listen[i].text);
}

static void print_words(const struct config_words *list, FILE *to)
{
	for (uint32_t i = 0; i < list->count; i++)
		fprintf(to, "%s%s", i > 0 ? " " : "", list->words[i].text);
}

/* One a line: a subject has blanks, and takes the rest of its line. */
static void print_certificates(const char *key, const struct config_words *list, FILE *to)
{
	for (uint32_t i = 0; i < list->count; i++)
		fprintf(to, "%s = %s\n", key, list->words[i].text);
}

static void print_rate(FILE *to, const struct config_rate *rate)
{
	fprintf(to, "%llu/%c burst %llu", (unsigned long long)rate->calls,
		rate->period == SECOND ? 's' : rate->period == 60 * SECOND ? 'm' : 'h', (unsigned long long)rate->burst);
}

static void print_memory(FILE *to, uint64_t value)
{
	if (value == CONFIG_HALF)
		fputs("half", to);
	else
		print_size(to, value);
}

static void print_workers(FILE *to, const struct config_pool *pool)
{
	if (pool->workers_cpus)
		fputs("cpus", to);
	else
		fprintf(to, "%u", pool->workers);
}

static void print_value(const void *field, const struct config_option *option, FILE *to)
{
	switch (option->type) {
	case T_TEXT:
	case T_GROUP:
	case T_CPUS:
	case T_ADDRESS: /* its first member */
		fputs(*(char *const *)field, to);
		break;
	case T_BOOL:
		fputs(*(const bool *)field ? "yes" : "no", to);
		break;
	case T_COUNT:
		fprintf(to, "%llu", (unsigned long long)*(const uint64_t *)field);
		break;
	case T_SIZE:
		print_size(to, *(const uint64_t *)field);
		break;
	case T_MEMORY:
		print_memory(to, *(const uint64_t *)field);
		break;
	case T_INTEGER:
		fprintf(to, "%d", *(const int32_t *)field);
		break;
	case T_SECONDS:
		print_seconds(to, *(const uint64_t *)field);
		break;
	case T_MODE:
		fprintf(to, "%04llo", (unsigned long long)*(const uint64_t *)field);
		break;
	case T_WORKERS:
		print_workers(to, container_of(field, const struct config_pool, workers));
		break;
	case T_JSON:
		fputs(((const struct config_json *)field)->text, to);
		break;
	case T_CHOICE:
		fputs(option->choices[*(const uint32_t *)field], to);
		break;
	case T_RATE:
		print_rate(to, field);
		break;
	case T_LIST:
		break;
	case T_METHODS:
	case T_POOLS:
	case T_YES:
	case T_NAMES:
	case T_UIDS:
	case T_GIDS:
	case T_CERTIFICATES:
	case T_TOKENS:
	case T_HOSTS:
	case T_ORIGINS:
	case T_MACHINES:
	case T_BUS:
		print_words(field, to);
		break;
	}
}

static bool is_number(enum config_type type)
{
	return type == T_COUNT || type == T_MODE || type == T_SIZE;
}

static bool is_given(const void *field, const struct config_option *option)
{
	return ((!config_has_text(option->type) && option->type != T_ADDRESS) || *(char *const *)field) &&
	       (option->type != T_RATE || ((const struct config_rate *)field)->calls > 0) &&
	       (!is_number(option->type) || *(const uint64_t *)field != CONFIG_UNSET) &&
	       (option->type != T_INTEGER || *(const int32_t *)field != CONFIG_INTEGER_UNSET) &&
	       (!config_has_words(option->type) || ((const struct config_words *)field)->count > 0) &&
	       (option->type != T_JSON || ((const struct config_json *)field)->text);
}

/* A value that begins so would read as a comment in --print-config: a semicolon behind a blank begins one. */
static bool begins_with_semicolon(const void *field, const struct config_option *option)
{
	return (config_has_text(option->type) || option->type == T_ADDRESS) && **(char *const *)field == ';';
}

/* Where there are users, these keys would be an error. */
static bool is_replaced(const void *base, const struct config_table *table, const struct config_option *option)
{
	return config_is_policy(table, option) && ((const struct config *)base)->user_count > 0;
}

/* A value that is secret is left out. */
static void print_hidden(const struct config_option *option, FILE *to)
{
	fprintf(to, "; %s is not shown\n", option->name);
}

static void print_section(const void *base, const struct config_table *table, bool secrets, FILE *to)
{
	for (size_t i = 0; i < table->count; i++) {
		const void *field = (const char *)base + table->options[i].at;
		if (is_replaced(base, table, &table->options[i]))
			continue;
		if (table->options[i].type == T_LIST) {
			print_list(base, to);
		} else if (table->options[i].type == T_CERTIFICATES) {
			print_certificates(table->options[i].name, field, to);
		} else if (is_given(field, &table->options[i]) && table->options[i].type == T_TOKENS && !secrets) {
			print_hidden(&table->options[i], to);
		} else if (is_given(field, &table->options[i])) {
			fprintf(to, "%s =%s", table->options[i].name,
				begins_with_semicolon(field, &table->options[i]) ? "" : " ");
			print_value(field, &table->options[i], to);
			fputc('\n', to);
		}
	}
}

static void print_daemon(const struct config *config, bool secrets, FILE *to)
{
	fputs("[daemon]\n", to);
	print_section(config, &config_of_daemon, secrets, to);
	for (uint32_t i = 0; i < config->role_count; i++) {
		fprintf(to, "\n[role %s]\n", config->roles[i].name);
		print_section(&config->roles[i], &config_of_role, secrets, to);
	}
	for (uint32_t i = 0; i < config->user_count; i++) {
		fprintf(to, "\n[user %s]\n", config->users[i].own.name);
		print_section(&config->users[i], &config_of_user, secrets, to);
	}
	if (config->cluster.place) {
		fputs("\n[cluster]\n", to);
		print_section(&config->cluster, &config_of_cluster, secrets, to);
	}
	for (uint32_t i = 0; i < config->remote_count; i++) {
		fprintf(to, "\n[remote %s]\n", config->remotes[i].name);
		print_section(&config->remotes[i], &config_of_remote, secrets, to);
	}
}

void config_print_open(const struct config *config, FILE *to)
{
	print_daemon(config, false, to);
}

void config_print_pool(const struct config_pool *pool, FILE *to)
{
	fprintf(to, "\n[pool %s]\n", pool->name);
	print_section(pool, &config_of_pool, false, to);
}

void config_print(const struct config *config, FILE *to)
{
	print_daemon(config, true, to);
	for (uint32_t i = 0; i < config->pool_count; i++)
		config_print_pool(&config->pools[i], to);
}
