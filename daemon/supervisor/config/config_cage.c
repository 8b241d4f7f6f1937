/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/config/config_cage.h"

#include "daemon/supervisor/config/config_table.h"
#include "proto/cage.h"
#include "proto/plural.h"

void config_cage_init(struct config_cage *cage)
{
	cage->umask = CONFIG_UNSET;
	cage->nice = CONFIG_INTEGER_UNSET;
	cage->network = true;
}

/* ---- all keys, by the table ---- */

static bool is_of_cage(const struct config_option *option)
{
	return option->at >= offsetof(struct config_pool, cage) &&
	       option->at < offsetof(struct config_pool, cage) + sizeof(struct config_cage);
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_value(enum config_type type, const void *a, const void *b)
{
	switch (type) {
	case T_TEXT:
	case T_CPUS:
	case T_JSON: /* its first member */
		return same_text(*(char *const *)a, *(char *const *)b);
	case T_BOOL:
		return *(const bool *)a == *(const bool *)b;
	case T_CHOICE:
	case T_INTEGER:
		return *(const uint32_t *)a == *(const uint32_t *)b;
	default:
		return *(const uint64_t *)a == *(const uint64_t *)b;
	}
}

/* The next key, from *i on, in which the sections differ; NULL: there is none. */
static const struct config_option *next_difference(const struct config_pool *a, const struct config_pool *b, size_t *i)
{
	while (*i < config_of_pool.count) {
		const struct config_option *option = &config_of_pool.options[(*i)++];
		if (is_of_cage(option) && !same_value(option->type, (const char *)a + option->at, (const char *)b + option->at))
			return option;
	}
	return NULL;
}

bool config_cage_same(const struct config_pool *a, const struct config_pool *b)
{
	size_t i = 0;

	return !next_difference(a, b, &i);
}

/* A section that gives none of the keys. */
static const struct config_pool *bare(void)
{
	static struct config_pool pool;

	config_cage_init(&pool.cage);
	return &pool;
}

const char *config_cage_key(const struct config_pool *pool)
{
	size_t i = 0;
	const struct config_option *option = next_difference(pool, bare(), &i);

	return option ? option->name : NULL;
}

const char *config_cage_find(struct span name)
{
	for (size_t i = 0; i < config_of_pool.count; i++) {
		const struct config_option *option = &config_of_pool.options[i];
		if (is_of_cage(option) && span_is(name, option->name))
			return option->name;
	}
	return NULL;
}

/* config_cage_check has found an item for each of workers_max slots. */
const char *config_cage_too_short(const struct config_pool *pool, uint32_t size)
{
	if (size <= config_pool_settings(pool).workers_max)
		return NULL;
	return pool->cage.slot_env.text ? "slot_env" : pool->cage.slot_cpus.text ? "slot_cpus" : NULL;
}

/* ---- checking ---- */

static int fail(struct config *config, const struct config_pool *pool, const char *reason)
{
	return config_fail(config, "%s: pool %s: %s", pool->place, pool->name, reason);
}

static bool is_strings(struct span value)
{
	struct reader reader = reader_of(value);
	struct span text;
	uint32_t n;

	if (read_array(&reader, &n) < 0)
		return false;
	while (n-- > 0)
		if (read_text(&reader, &text) < 0 || text.size == 0 || memchr(text.bytes, 0, text.size))
			return false;
	return true;
}

/* Takes an object of variables of an environment. */
static bool take_variables(struct reader *reader)
{
	struct span name, value;
	uint32_t n;

	if (read_map(reader, &n) < 0)
		return false;
	while (n-- > 0)
		if (read_text(reader, &name) < 0 || name.size == 0 || memchr(name.bytes, '=', name.size) ||
		    memchr(name.bytes, 0, name.size) || read_text(reader, &value) < 0 || memchr(value.bytes, 0, value.size))
			return false;
	return true;
}

static bool take_cpus(struct reader *reader)
{
	struct span text;
	cpu_set_t set;

	return read_text(reader, &text) == 0 && cage_parse_cpus((const char *)text.bytes, text.size, &set) == 0;
}

static int check_slots(struct config *config, const struct config_pool *pool, const char *key, const struct config_json *json,
		       bool (*take)(struct reader *), const char *items)
{
	const uint32_t workers = config_pool_settings(pool).workers_max;
	struct reader reader = reader_of(json->value);
	uint32_t n;

	if (!json->text)
		return 0;
	if (pool->isolation == ISOLATION_THREAD)
		return config_fail(config, "%s: pool %s: %s is of a process: it needs isolation = process", pool->place,
				   pool->name, key);
	if (read_array(&reader, &n) < 0 || n != workers)
		return config_fail(config, "%s: pool %s: %s must be an array of %u item%s, one per slot", pool->place, pool->name,
				   key, workers, plural(workers));
	while (n-- > 0)
		if (!take(&reader))
			return config_fail(config, "%s: pool %s: %s must be an array of %s", pool->place, pool->name, key, items);
	return 0;
}

static const char objects[] = "objects, from names of variables to strings";
static const char lists_of_cpus[] = "strings, as in [\"0-3\", \"4-7\"]";

int config_cage_check(struct config *config, const struct config_pool *pool)
{
	const struct config_cage *cage = &pool->cage;
	struct reader env = reader_of(cage->env.value);

	if (pool->offered && config_cage_key(pool))
		return config_fail(config, "%s: pool %s: %s: the process of a program, which is offered as template, has no cage",
				   pool->place, pool->name, config_cage_key(pool));
	if (cage->limit_processes && !cage->user)
		return fail(config, pool, "limit_processes counts the processes of a user: it needs user");
	if (cage->env.text && !take_variables(&env))
		return fail(config, pool, "env must be an object, from names of variables to strings");
	if (cage->read.text && !is_strings(cage->read.value))
		return fail(config, pool, "read must be an array of paths");
	if (cage->write.text && !is_strings(cage->write.value))
		return fail(config, pool, "write must be an array of paths");
	if (check_slots(config, pool, "slot_cpus", &cage->slot_cpus, take_cpus, lists_of_cpus) < 0)
		return -1;
	return check_slots(config, pool, "slot_env", &cage->slot_env, take_variables, objects);
}

/* ---- for the template ---- */

static void pack_text(msgpack_packer *packer, const char *text)
{
	msgpack_pack_str_with_body(packer, text, strlen(text));
}

static void pack_json(msgpack_packer *packer, const struct config_json *json)
{
	(void)packer->callback(packer->data, (const char *)json->value.bytes, json->value.size);
}

static void pack_value(msgpack_packer *packer, const struct config_option *option, const void *field)
{
	pack_text(packer, option->name);
	if (config_has_text(option->type))
		pack_text(packer, *(char *const *)field);
	else if (option->type == T_JSON)
		pack_json(packer, field);
	else if (option->type == T_BOOL)
		msgpack_pack_uint8(packer, *(const bool *)field);
	else if (option->type == T_CHOICE)
		msgpack_pack_uint32(packer, *(const uint32_t *)field);
	else if (option->type == T_INTEGER)
		msgpack_pack_int32(packer, *(const int32_t *)field);
	else
		msgpack_pack_uint64(packer, *(const uint64_t *)field);
}

static uint32_t count_differences(const struct config_pool *pool)
{
	uint32_t n = 0;

	for (size_t i = 0; next_difference(pool, bare(), &i);)
		n++;
	return n;
}

/* What the plugin itself is read from, where `read` says what else is. */
static void pack_own(const struct config_pool *pool, const char *plugin_path, msgpack_packer *packer)
{
	struct reader paths = reader_of(pool->python_path.value);
	struct span path;
	uint32_t n;

	if (!pool->python_path.text || read_array(&paths, &n) < 0)
		n = 0;
	pack_text(packer, "own");
	msgpack_pack_array(packer, 2 + (size_t)n);
	pack_text(packer, plugin_path);
	pack_text(packer, pool->virtualenv ? pool->virtualenv : plugin_path);
	while (n-- > 0) {
		(void)read_value(&paths, &path);
		(void)packer->callback(packer->data, (const char *)path.bytes, path.size);
	}
}

void config_cage_pack(const struct config_pool *pool, const char *plugin_path, const char *cgroup, msgpack_packer *packer)
{
	const struct config_option *option;

	msgpack_pack_map(packer, count_differences(pool) + (cgroup ? 2 : 1));
	for (size_t i = 0; (option = next_difference(pool, bare(), &i));)
		pack_value(packer, option, (const char *)pool + option->at);
	pack_own(pool, plugin_path, packer);
	if (cgroup) {
		pack_text(packer, "cgroup");
		pack_text(packer, cgroup);
	}
}
