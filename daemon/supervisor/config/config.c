/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/config/config.h"

#include "daemon/supervisor/config/config_table.h"
#include "proto/channel.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

/* ---- the tables ---- */

static const char *const admins[] = {"all", "unix", "none", NULL};               /* as enum config_admin */
static const char *const tls_clients[] = {"none", "optional", "required", NULL}; /* as enum config_tls_client */
static const char *const isolations[] = {"process", "thread", NULL};             /* as enum config_isolation */
static const char *const syscalls[] = {"none", "default", "strict", NULL};        /* as enum cage_syscalls */
static const char *const preferences[] = {"local", "load", NULL};                 /* as enum config_prefer */
static const char *const levels[] = {"error", "warning", "info", "debug", NULL};

#define AT(member) offsetof(struct config, member)
static const struct config_option daemon_options[] = {
	{"listen", T_LIST, AT(listen), NULL, NULL, 0, 0},
	{"http", T_ADDRESS, AT(http), NULL, NULL, 0, 0},
	{"http_calls", T_BOOL, AT(http_calls), "no", NULL, 0, 0},
	{"http_max_body", T_SIZE, AT(http_max_body), "1M", NULL, 1024, 64 << 20},
	{"http_hosts", T_HOSTS, AT(http_hosts), NULL, NULL, 0, 0},
	{"http_origins", T_ORIGINS, AT(http_origins), NULL, NULL, 0, 0},
	{"plugin_dir", T_TEXT, AT(plugin_dir), NULL, NULL, 0, 0},
	{"worker_program", T_TEXT, AT(worker_program), NULL, NULL, 0, 0},
	{"user", T_TEXT, AT(user), NULL, NULL, 0, 0},
	{"group", T_GROUP, AT(group), NULL, NULL, 0, 0},
	{"pid_file", T_TEXT, AT(pid_file), NULL, NULL, 0, 0},
	{"log_file", T_TEXT, AT(log_file), NULL, NULL, 0, 0},
	{"socket_mode", T_MODE, AT(socket_mode), "0660", NULL, 0, 0777},
	{"socket_group", T_GROUP, AT(socket_group), NULL, NULL, 0, 0},
	{"insecure_remote", T_BOOL, AT(insecure_remote), "no", NULL, 0, 0},
	{"tls_cert", T_TEXT, AT(tls_cert), NULL, NULL, 0, 0},
	{"tls_key", T_TEXT, AT(tls_key), NULL, NULL, 0, 0},
	{"tls_client_ca", T_TEXT, AT(tls_client_ca), NULL, NULL, 0, 0},
	{"tls_client", T_CHOICE, AT(tls_client), NULL, tls_clients, 0, 0},
	{"tls_crl", T_TEXT, AT(tls_crl), NULL, NULL, 0, 0},
	{"admin", T_CHOICE, AT(admin), "all", admins, 0, 0},
	{"create", T_CHOICE, AT(create), "all", admins, 0, 0},
	{"max_pools", T_COUNT, AT(max_pools), "1000", NULL, 1, 1000000},
	{"max_message", T_SIZE, AT(max_message), "256M", NULL, 1024, UINT64_C(1) << 31},
	{"max_connections", T_COUNT, AT(max_connections), "10000", NULL, 1, 1000000},
	{"max_inflight", T_COUNT, AT(max_inflight), "16384", NULL, 1, 10000000},
	{"max_unsent", T_SIZE, AT(max_unsent), "16M", NULL, 4096, UINT64_C(1) << 40},
	{"max_pending", T_SIZE, AT(max_pending), "512M", NULL, 4096, UINT64_C(1) << 40},
	{"max_memory", T_MEMORY, AT(max_memory), "half", NULL, 0, UINT64_C(1) << 48},
	{"payload_min", T_SIZE, AT(payload_min), "64K", NULL, 0, UINT64_C(1) << 40},
	{"log_level", T_CHOICE, AT(log_level), "info", levels, 0, 0},
	{"worker_log_level", T_CHOICE, AT(worker_log_level), "info", levels, 0, 0},
	{"drain_timeout", T_SECONDS, AT(drain_timeout), "never", NULL, 0, 0},
};
#undef AT
#define AT(member) offsetof(struct config_pool, member)
static const struct config_option pool_options[] = {
	{"plugin", T_TEXT, AT(plugin), NULL, NULL, 0, 0},
	{"class", T_TEXT, AT(class), NULL, NULL, 0, 0},
	{"workers", T_WORKERS, AT(workers), "1", NULL, 0, CONFIG_WORKERS_MAX},
	{"isolation", T_CHOICE, AT(isolation), "process", isolations, 0, 0},
	{"args", T_JSON, AT(args), NULL, NULL, 0, 0},
	{"kwargs", T_JSON, AT(kwargs), NULL, NULL, 0, 0},
	{"slot_kwargs", T_JSON, AT(slot_kwargs), NULL, NULL, 0, 0},
	{"python_path", T_JSON, AT(python_path), NULL, NULL, 0, 0},
	{"python_options", T_JSON, AT(python_options), NULL, NULL, 0, 0},
	{"virtualenv", T_TEXT, AT(virtualenv), NULL, NULL, 0, 0},
	{"preload", T_JSON, AT(preload), NULL, NULL, 0, 0},
	{"unpickle", T_BOOL, AT(unpickle), "no", NULL, 0, 0},
	{"max_queue", T_COUNT, AT(max_queue), "100000", NULL, 1, UINT32_MAX},
	{"max_direct", T_COUNT, AT(max_direct), "16", NULL, 0, DIRECT_MAX},
	{"max_concurrent", T_COUNT, AT(max_concurrent), "100", NULL, 1, LEDGER_ENTRIES / 2},
	{"max_sticky", T_SIZE, AT(max_sticky), "16M", NULL, 0, UINT64_C(1) << 32},
	{"start_timeout", T_SECONDS, AT(start_timeout), "60", NULL, MILLISECOND, 0},
	{"stop_timeout", T_SECONDS, AT(stop_timeout), "5", NULL, 0, 0},
	{"cancel_grace", T_SECONDS, AT(cancel_grace), "never", NULL, 0, 0},
	{"slow_log", T_SECONDS, AT(slow_log), "never", NULL, MILLISECOND, 0},
	{"max_calls", T_COUNT, AT(max_calls), "0", NULL, 0, UINT64_C(1) << 48},
	{"max_age", T_SECONDS, AT(max_age), "0", NULL, 0, 0},
	{"max_rss", T_SIZE, AT(max_rss), "0", NULL, 0, UINT64_C(1) << 48},
	{"workers_min", T_COUNT, AT(workers_min), NULL, NULL, 0, CONFIG_WORKERS_MAX},
	{"workers_max", T_COUNT, AT(workers_max), NULL, NULL, 1, CONFIG_WORKERS_MAX},
	{"idle_timeout", T_SECONDS, AT(idle_timeout), "60", NULL, 0, 0},
	{"share", T_BOOL, AT(share), "no", NULL, 0, 0},
	{"trust", T_MACHINES, AT(trust), NULL, NULL, 0, 0},
	{"run_as", T_TEXT, AT(run_as), NULL, NULL, 0, 0},
	{"user", T_TEXT, AT(cage.user), NULL, NULL, 0, 0},
	{"group", T_TEXT, AT(cage.group), NULL, NULL, 0, 0},
	{"nice", T_INTEGER, AT(cage.nice), NULL, NULL, (uint64_t)-20, 19},
	{"cpus", T_CPUS, AT(cage.cpus), NULL, NULL, 0, 0},
	{"slot_cpus", T_JSON, AT(cage.slot_cpus), NULL, NULL, 0, 0},
	{"env", T_JSON, AT(cage.env), NULL, NULL, 0, 0},
	{"slot_env", T_JSON, AT(cage.slot_env), NULL, NULL, 0, 0},
	{"directory", T_TEXT, AT(cage.directory), NULL, NULL, 0, 0},
	{"umask", T_MODE, AT(cage.umask), NULL, NULL, 0, 0777},
	{"limit_memory", T_SIZE, AT(cage.limit_memory), "0", NULL, 0, UINT64_C(1) << 48},
	{"limit_files", T_COUNT, AT(cage.limit_files), "0", NULL, 0, 1 << 30},
	{"limit_processes", T_COUNT, AT(cage.limit_processes), "0", NULL, 0, 1 << 22},
	{"limit_cpu", T_COUNT, AT(cage.limit_cpu), "0", NULL, 0, UINT32_MAX},
	{"memory_max", T_SIZE, AT(cage.memory_max), "0", NULL, 0, UINT64_C(1) << 48},
	{"read", T_JSON, AT(cage.read), NULL, NULL, 0, 0},
	{"network", T_BOOL, AT(cage.network), "yes", NULL, 0, 0},
	{"syscalls", T_CHOICE, AT(cage.syscalls), "none", syscalls, 0, 0},
	{"write", T_JSON, AT(cage.write), NULL, NULL, 0, 0},
};
#undef AT
/* Of roles, and of users. */
#define RIGHT(key, type, right) {key, type, offsetof(struct config_role, of[right]), NULL, NULL, 0, 0}
#define ALL_RIGHTS                                                                                                               \
	RIGHT("call", T_METHODS, RIGHT_CALL), RIGHT("all", T_METHODS, RIGHT_ALL), RIGHT("deny", T_METHODS, RIGHT_DENY),          \
		RIGHT("describe", T_POOLS, RIGHT_DESCRIBE), RIGHT("create", T_POOLS, RIGHT_CREATE),                              \
		RIGHT("code", T_POOLS, RIGHT_CODE), RIGHT("admin", T_POOLS, RIGHT_ADMIN),                                        \
		RIGHT("direct", T_POOLS, RIGHT_DIRECT), RIGHT("watch", T_YES, RIGHT_WATCH), RIGHT("operate", T_YES, RIGHT_OPERATE)
static const struct config_option role_options[] = {ALL_RIGHTS};
#define AT(member) offsetof(struct config_user, member)
static const struct config_option user_options[] = {
	ALL_RIGHTS,
	{"is", T_NAMES, AT(is), NULL, NULL, 0, 0},
	{"uid", T_UIDS, AT(uids), NULL, NULL, 0, 0},
	{"gid", T_GIDS, AT(gids), NULL, NULL, 0, 0},
	{"cert", T_CERTIFICATES, AT(certificates), NULL, NULL, 0, 0},
	{"token_sha256", T_TOKENS, AT(tokens), NULL, NULL, 0, 0},
	{"max_sessions", T_COUNT, AT(max_sessions), NULL, NULL, 1, 1000000},
	{"max_inflight", T_COUNT, AT(max_inflight), NULL, NULL, 1, 10000000},
	{"max_memory", T_SIZE, AT(max_memory), NULL, NULL, CONFIG_MEMORY_MIN, UINT64_C(1) << 48},
	{"rate", T_RATE, AT(rate), NULL, NULL, 1, 1000000},
	{"max_priority", T_INTEGER, AT(max_priority), NULL, NULL, (uint64_t)CALL_PRIORITY_MIN, CALL_PRIORITY_MAX},
};
#undef AT
#define AT(member) offsetof(struct config_cluster, member)
static const struct config_option cluster_options[] = {
	{"name", T_TEXT, AT(name), NULL, NULL, 0, 0},
	{"domain", T_TEXT, AT(domain), "default", NULL, 0, 0},
	{"bus", T_BUS, AT(bus), NULL, NULL, 0, 0},
	{"bus_ca", T_TEXT, AT(bus_ca), NULL, NULL, 0, 0},
	{"bus_cert", T_TEXT, AT(bus_cert), NULL, NULL, 0, 0},
	{"bus_key", T_TEXT, AT(bus_key), NULL, NULL, 0, 0},
	{"bus_creds", T_TEXT, AT(bus_creds), NULL, NULL, 0, 0},
	{"max_sessions", T_COUNT, AT(max_sessions), "8192", NULL, 1, 1000000},
	{"max_memory", T_SIZE, AT(max_memory), "1G", NULL, UINT64_C(16) << 20, UINT64_C(1) << 48},
	{"gateway_program", T_TEXT, AT(program), NULL, NULL, 0, 0},
};
#undef AT
#define AT(member) offsetof(struct config_remote, member)
static const struct config_option remote_options[] = {
	{"hosts", T_MACHINES, AT(hosts), NULL, NULL, 0, 0},
	{"prefer", T_CHOICE, AT(prefer), "local", preferences, 0, 0},
};
#undef AT
#define COUNT(table) (sizeof(table) / sizeof *(table))

_Static_assert(COUNT(daemon_options) <= CONFIG_TABLE_MAX && COUNT(pool_options) <= CONFIG_TABLE_MAX, "a table is no larger");

const struct config_table config_of_daemon = {.options = daemon_options, .count = COUNT(daemon_options)};
const struct config_table config_of_pool = {.options = pool_options, .count = COUNT(pool_options)};
const struct config_table config_of_role = {.options = role_options, .count = COUNT(role_options)};
const struct config_table config_of_user = {.options = user_options, .count = COUNT(user_options)};
const struct config_table config_of_cluster = {.options = cluster_options, .count = COUNT(cluster_options)};
const struct config_table config_of_remote = {.options = remote_options, .count = COUNT(remote_options)};

bool config_is_policy(const struct config_table *table, const struct config_option *option)
{
	return table == &config_of_daemon && option->choices == admins;
}

const char *config_hint(const struct config_table *table, const char *name, size_t size, char hint[SIMILAR_HINT])
{
	struct similar similar = similar_to(name, size);

	for (size_t i = 0; i < table->count; i++)
		similar_offer(&similar, table->options[i].name);
	return similar_hint(&similar, "", hint);
}

int config_fail(struct config *config, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	(void)vsnprintf(config->reason, sizeof config->reason, format, list);
	va_end(list);
	return -1;
}

const char config_not_kept[] = "could not be kept: out of memory";

int config_no_memory(struct config *config)
{
	return config_fail(config, "out of memory");
}

/* ---- places ---- */

const char *config_place(const struct config *config, const void *field)
{
	for (size_t i = 0; i < COUNT(daemon_options); i++)
		if ((const char *)config + daemon_options[i].at == field && config->places[i])
			return config->places[i];
	return "the defaults";
}

/* ---- addresses ---- */

int config_add_listen(struct config *config, const char *address, const char *place)
{
	struct config_address *list = realloc(config->listen, (config->listen_count + 1) * sizeof *list);
	if (!list)
		return -ENOMEM;
	config->listen = list;
	struct config_address *added = &list[config->listen_count++];
	*added = (struct config_address){.text = strdup(address), .place = place ? strdup(place) : NULL};
	return added->text && (added->place || !place) ? 0 : -ENOMEM;
}

void config_drop_listen(struct config *config)
{
	struct config_address *last = &config->listen[--config->listen_count];
	free(last->text);
	free(last->place);
}

/* ---- freeing ---- */

static void free_words(struct config_words *list)
{
	for (uint32_t i = 0; i < list->count; i++) {
		free(list->words[i].text);
		free(list->words[i].place);
	}
	free(list->words);
}

static void free_section(void *base, const struct config_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		void *field = (char *)base + table->options[i].at;
		if (config_has_text(table->options[i].type))
			free(*(char **)field);
		if (table->options[i].type == T_ADDRESS) {
			free(((struct config_address *)field)->text);
			free(((struct config_address *)field)->place);
		}
		if (table->options[i].type == T_JSON) {
			free(((struct config_json *)field)->text);
			block_unref(((struct config_json *)field)->packed);
		}
		if (config_has_words(table->options[i].type))
			free_words(field);
	}
}

void config_pool_charge(struct config_pool *pool, struct account *account)
{
	for (size_t i = 0; i < COUNT(pool_options); i++) {
		const struct config_json *json = (const void *)((const char *)pool + pool_options[i].at);
		if (pool_options[i].type == T_JSON && json->packed)
			block_charge(json->packed, account, json->packed->capacity);
	}
}

void config_pool_free(struct config_pool *pool)
{
	free(pool->workers_place);
	free_section(pool, &config_of_pool);
	free(pool->name);
	free(pool->offered);
	free(pool->place);
	*pool = (struct config_pool){0};
}

/* False: out of memory. */
static bool copy_text(char **text)
{
	return !*text || (*text = strdup(*text));
}

/* The list is a copy by bytes. False: out of memory; it has what could be copied. */
static bool copy_words(struct config_words *list)
{
	const struct config_words from = *list;

	*list = (struct config_words){.words = from.count > 0 ? calloc(from.count, sizeof *list->words) : NULL};
	for (uint32_t i = 0; list->words && i < from.count; i++) {
		const struct config_word *word = &from.words[i];
		struct config_word *copy = &list->words[list->count++];
		*copy = (struct config_word){.text = strdup(word->text), .number = word->number};
		copy->place = word->place ? strdup(word->place) : NULL;
		if (!copy->text || (word->place && !copy->place))
			return false;
	}
	return list->count == from.count;
}

/* The field is a copy by bytes, of which nothing is its own yet. */
static bool copy_field(void *field, enum config_type type)
{
	struct config_json *json = field;

	if (config_has_text(type))
		return copy_text(field);
	if (config_has_words(type))
		return copy_words(field);
	if (type != T_JSON)
		return true;
	if (json->packed)
		(void)block_ref(json->packed);
	return copy_text(&json->text);
}

/* All are copied, also after one that could not be: config_pool_free frees what the copy has then. */
int config_pool_copy(struct config_pool *copy, const struct config_pool *pool)
{
	bool whole = true;

	*copy = *pool;
	for (size_t i = 0; i < COUNT(pool_options); i++)
		whole &= copy_field((char *)copy + pool_options[i].at, pool_options[i].type);
	whole &= copy_text(&copy->name);
	whole &= copy_text(&copy->place);
	whole &= copy_text(&copy->workers_place);
	whole &= copy_text(&copy->offered);
	if (!whole)
		config_pool_free(copy);
	return whole ? 0 : -ENOMEM;
}

static void free_role(struct config_role *role, const struct config_table *table)
{
	free_section(role, table);
	free(role->name);
	free(role->place);
}

static void free_remote(struct config_remote *remote)
{
	free_section(remote, &config_of_remote);
	free(remote->name);
	free(remote->place);
}

void config_free(struct config *config)
{
	for (uint32_t i = 0; i < config->pool_count; i++)
		config_pool_free(&config->pools[i]);
	free(config->pools);
	for (uint32_t i = 0; i < config->role_count; i++)
		free_role(&config->roles[i], &config_of_role);
	free(config->roles);
	for (uint32_t i = 0; i < config->user_count; i++)
		free_role(&config->users[i].own, &config_of_user);
	free(config->users);
	for (uint32_t i = 0; i < config->remote_count; i++)
		free_remote(&config->remotes[i]);
	free(config->remotes);
	free_section(&config->cluster, &config_of_cluster);
	free(config->cluster.place);
	free(config->policy);
	while (config->listen_count > 0)
		config_drop_listen(config);
	free(config->listen);
	free_section(config, &config_of_daemon);
	for (size_t i = 0; i < COUNT(daemon_options); i++)
		free(config->places[i]);
	*config = (struct config){0};
}

/* ---- the log's levels ---- */

const char *config_level_name(uint32_t level)
{
	return levels[level];
}

int config_level_of(struct span name)
{
	for (int i = 0; levels[i]; i++)
		if (span_is(name, levels[i]))
			return i;
	return -1;
}
