/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/config/config_pool.h"

#include "daemon/supervisor/config/config.h"
#include "daemon/supervisor/config/config_cage.h"
#include "daemon/supervisor/config/config_table.h"
#include "daemon/supervisor/config/config_values.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

enum { POOLS_MAX = 10000 };

/* ---- adding one ---- */

static struct config_pool *find_pool(struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->pool_count; i++)
		if (!strcmp(config->pools[i].name, name))
			return &config->pools[i];
	return NULL;
}

bool config_is_pool_name(const char *name)
{
	return name[0] && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == strlen(name) &&
	       strcmp(name, "objpool") != 0;
}

/* The array has room for the next power of two of pools. */
static int make_room_for_pool(struct config *config)
{
	const uint32_t n = config->pool_count;
	struct config_pool *pools =
		(n & (n - 1)) == 0 ? realloc(config->pools, (n ? 2 * (size_t)n : 1) * sizeof *pools) : config->pools;

	if (!pools)
		return -ENOMEM;
	config->pools = pools;
	return 0;
}

int config_add_named_pool(struct config *config, const char *name, const char *place)
{
	const struct config_pool *other = find_pool(config, name);

	if (!config_is_pool_name(name))
		return config_fail(config, "%s: \"%.100s\" can't be a pool's name: use letters, digits, _ and -, and not objpool",
				   place, name);
	if (other)
		return config_fail(config, "%s: pool %s is given twice: see %s", place, name, other->place);
	if (config->pool_count == POOLS_MAX)
		return config_fail(config, "%s: these are more than %d pools", place, POOLS_MAX);
	if (make_room_for_pool(config) < 0)
		return config_no_memory(config);
	struct config_pool *pool = &config->pools[config->pool_count++];
	*pool = (struct config_pool){.name = strdup(name), .workers_min = CONFIG_UNSET, .workers_max = CONFIG_UNSET};
	config_cage_init(&pool->cage);
	config_preset(pool, &config_of_pool);
	pool->place = strdup(place);
	return pool->name && pool->place ? 0 : config_no_memory(config);
}

void *config_last_pool(struct config *config)
{
	return &config->pools[config->pool_count - 1];
}

/* ---- what a client wants ---- */

int config_add_pool(struct config *config, struct span name, const char *place)
{
	char text[256];

	if (name.size == 0 || name.size >= sizeof text || memchr(name.bytes, 0, name.size))
		return config_fail(config, "%s: a pool needs a name of 1 to 255 characters", place);
	snprintf(text, sizeof text, "%.*s", (int)name.size, (const char *)name.bytes);
	return config_add_named_pool(config, text, place);
}

/* A value as it would be written in a file. -1: it can't be. */
static int text_of(struct span value, char *text, size_t size)
{
	struct reader reader = reader_of(value);
	struct span string;
	uint64_t u;
	int64_t i;
	double f;
	bool b;

	if (read_text(&reader, &string) == 0 && string.size < size && !memchr(string.bytes, 0, string.size))
		return snprintf(text, size, "%.*s", (int)string.size, (const char *)string.bytes);
	if (read_int(&reader, &i) == 0)
		return snprintf(text, size, "%lld", (long long)i);
	if (read_uint(&reader, &u) == 0)
		return snprintf(text, size, "%llu", (unsigned long long)u);
	if (read_bool(&reader, &b) == 0)
		return snprintf(text, size, "%s", b ? "yes" : "no");
	if (read_whole(&reader, &u) == 0)
		return snprintf(text, size, "%llu", (unsigned long long)u);
	return read_number(&reader, &f) == 0 ? snprintf(text, size, "%.9g", f) : -1;
}

/* Why text_of can't write the value. */
static const char *reason_of_no_text(struct span value, size_t size)
{
	struct reader reader = reader_of(value);
	struct span string;

	if (read_text(&reader, &string) < 0)
		return "must be a string, a number or a boolean";
	return string.size < size ? "has a NUL byte" : "is too long";
}

/* What is JSON in a file comes packed. */
static const char *keep_packed(struct config_json *json, struct span value)
{
	struct reader reader = reader_of(value);

	if (read_nil(&reader) == 0)
		return NULL;
	struct block *packed = block_new(NULL, value.size);
	char *text = strdup("(packed)");
	if (!packed || !text) {
		block_unref(packed);
		free(text);
		return config_not_kept;
	}
	memcpy(packed->bytes, value.bytes, value.size);
	block_unref(json->packed);
	free(json->text);
	*json = (struct config_json){.text = text, .packed = packed, .value = {.bytes = packed->bytes, .size = value.size}};
	return NULL;
}

int config_set_pool(struct config *config, struct span key, struct span value)
{
	struct config_pool *pool = &config->pools[config->pool_count - 1];
	const char *reason;
	char text[4096];

	for (size_t i = 0; i < config_of_pool.count; i++) {
		const struct config_option *option = &config_of_pool.options[i];
		void *field = (char *)pool + option->at;
		if (!span_is(key, option->name))
			continue;
		if (option->type == T_JSON)
			reason = keep_packed(field, value);
		else if (text_of(value, text, sizeof text) >= 0)
			reason = config_set_value(field, option, text);
		else
			reason = reason_of_no_text(value, sizeof text);
		return reason ? config_fail(config, "%s: pool %s: %s %s", pool->place, pool->name, option->name, reason) : 0;
	}
	return config_fail(config, "%s: pool %s: there is no key \"%.*s\"%s", pool->place, pool->name,
			   (int)(key.size < 64 ? key.size : 64), (const char *)key.bytes,
			   config_hint(&config_of_pool, (const char *)key.bytes, key.size, text));
}

/* ---- what others ask ---- */

uint32_t config_pool_workers(const struct config_pool *pool)
{
	cpu_set_t set;
	if (!pool->workers_cpus)
		return pool->workers;
	return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0 ? (uint32_t)CPU_COUNT(&set) : 1;
}

struct pool_settings config_pool_settings(const struct config_pool *pool)
{
	const uint32_t workers = config_pool_workers(pool);
	const bool least = pool->workers_min != CONFIG_UNSET, most = pool->workers_max != CONFIG_UNSET;

	return (struct pool_settings){
		.max_queue = (uint32_t)pool->max_queue,
		.max_direct = (uint32_t)pool->max_direct,
		.max_concurrent = (uint32_t)pool->max_concurrent,
		.max_sticky = pool->max_sticky,
		.start_timeout = pool->start_timeout,
		.stop_timeout = pool->stop_timeout,
		.cancel_grace = pool->cancel_grace,
		.max_calls = pool->max_calls,
		.max_age = pool->max_age ? pool->max_age : NEVER,
		.workers_min = least ? (uint32_t)pool->workers_min : workers,
		.workers_max = most ? (uint32_t)pool->workers_max : workers,
		.idle_timeout = pool->idle_timeout,
	};
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool config_pool_same_instances(const struct config_pool *a, const struct config_pool *b)
{
	return a->isolation == b->isolation && same_text(a->plugin, b->plugin) && same_text(a->class, b->class) &&
	       same_text(a->args.text, b->args.text) && same_text(a->kwargs.text, b->kwargs.text) &&
	       same_text(a->slot_kwargs.text, b->slot_kwargs.text) && same_text(a->python_path.text, b->python_path.text) &&
	       same_text(a->virtualenv, b->virtualenv) && same_text(a->python_options.text, b->python_options.text) &&
	       same_text(a->preload.text, b->preload.text) && a->unpickle == b->unpickle &&
	       a->max_concurrent == b->max_concurrent && config_cage_same(a, b);
}

static bool have_same_size(const struct config_pool *a, const struct config_pool *b)
{
	const struct pool_settings of_a = config_pool_settings(a), of_b = config_pool_settings(b);

	return config_pool_workers(a) == config_pool_workers(b) && of_a.workers_min == of_b.workers_min &&
	       of_a.workers_max == of_b.workers_max;
}

bool config_pool_keeps_size(const struct config_pool *before, const struct config_pool *section, uint32_t size)
{
	return have_same_size(before, section) && !config_cage_too_short(section, size);
}

/* ---- what its plugin may ask for ---- */

static void pack_key(msgpack_packer *packer, const char *key)
{
	msgpack_pack_str(packer, strlen(key));
	msgpack_pack_str_body(packer, key, strlen(key));
}

static void pack_json(msgpack_packer *packer, const char *key, const struct config_json *json)
{
	pack_key(packer, key);
	if (json->text)
		(void)packer->callback(packer->data, (const char *)json->value.bytes, json->value.size);
	else
		msgpack_pack_nil(packer);
}

void config_pool_pack_settings(const struct config_pool *pool, uint64_t max_message, msgpack_packer *packer)
{
	msgpack_pack_map(packer, 9);
	pack_key(packer, "max_message");
	msgpack_pack_uint64(packer, max_message);
	pack_key(packer, "max_concurrent");
	msgpack_pack_uint64(packer, pool->max_concurrent);
	pack_json(packer, "python_path", &pool->python_path);
	pack_json(packer, "python_options", &pool->python_options);
	pack_json(packer, "preload", &pool->preload);
	pack_json(packer, "slot_env", &pool->cage.slot_env);
	pack_key(packer, "virtualenv");
	if (pool->virtualenv)
		pack_key(packer, pool->virtualenv);
	else
		msgpack_pack_nil(packer);
	pack_key(packer, "unpickle");
	if (pool->unpickle)
		msgpack_pack_true(packer);
	else
		msgpack_pack_false(packer);
	pack_key(packer, "cancel_grace");
	if (pool->cancel_grace != NEVER)
		msgpack_pack_uint64(packer, pool->cancel_grace);
	else
		msgpack_pack_nil(packer);
}
