/* SPDX-License-Identifier: Apache-2.0 */
/* config_check: what must be right in the whole. */
#include "daemon/supervisor/config/address.h"
#include "daemon/supervisor/config/config.h"
#include "daemon/supervisor/config/config_cage.h"
#include "daemon/supervisor/config/config_cluster.h"
#include "daemon/supervisor/config/config_table.h"
#include "daemon/supervisor/config/config_users.h"
#include "daemon/supervisor/config/python_options.h"
#include "proto/plural.h"

#include <pwd.h>

static int check_strings(struct config *config, const struct config_pool *pool, const char *key, const struct config_json *json)
{
	struct reader reader = reader_of(json->value);
	struct span text;
	uint32_t n;
	int r = json->text ? read_array(&reader, &n) : 0;

	for (uint32_t i = 0; json->text && r == 0 && i < n; i++)
		r = read_text(&reader, &text);
	return r == 0 ? 0 : config_fail(config, "%s: pool %s: %s must be an array of strings", pool->place, pool->name, key);
}

static int check_python_options(struct config *config, const struct config_pool *pool)
{
	char room[PYTHON_OPTIONS_REASON];
	const char *reason = NULL;

	if (check_strings(config, pool, "python_options", &pool->python_options) < 0)
		return -1;
	if (pool->python_options.text)
		reason = python_options_check(pool->python_options.value, room);
	return reason ? config_fail(config, "%s: pool %s: python_options: %s", pool->place, pool->name, reason) : 0;
}

static int check_json(struct config *config, const struct config_pool *pool)
{
	struct reader args = reader_of(pool->args.value), kwargs = reader_of(pool->kwargs.value);
	struct reader slots = reader_of(pool->slot_kwargs.value);
	uint32_t n, workers, any;
	struct span item;

	if (pool->args.text && read_array(&args, &n) < 0)
		return config_fail(config, "%s: pool %s: args must be an array", pool->place, pool->name);
	if (pool->kwargs.text && read_map(&kwargs, &n) < 0)
		return config_fail(config, "%s: pool %s: kwargs must be an object", pool->place, pool->name);
	if (check_strings(config, pool, "python_path", &pool->python_path) < 0 ||
	    check_python_options(config, pool) < 0 || check_strings(config, pool, "preload", &pool->preload) < 0)
		return -1;
	if (!pool->slot_kwargs.text)
		return 0;
	workers = config_pool_settings(pool).workers_max;
	if (read_array(&slots, &n) < 0 || n != workers)
		return config_fail(config, "%s: pool %s: slot_kwargs must be an array of %u object%s, one per slot", pool->place,
				   pool->name, workers, plural(workers));
	while (n-- > 0) {
		struct reader look = slots;
		if (read_map(&look, &any) < 0 || read_value(&slots, &item) < 0)
			return config_fail(config, "%s: pool %s: slot_kwargs must be an array of objects", pool->place,
					   pool->name);
	}
	return 0;
}

static int check_size(struct config *config, const struct config_pool *pool)
{
	const struct pool_settings settings = config_pool_settings(pool);
	const uint32_t workers = config_pool_workers(pool);

	if (settings.workers_min > settings.workers_max)
		return config_fail(config, "%s: pool %s: workers_min = %u is more than workers_max = %u", pool->place, pool->name,
				   settings.workers_min, settings.workers_max);
	if (workers < settings.workers_min || workers > settings.workers_max)
		return config_fail(config, "%s: pool %s: workers = %u does not lie between workers_min = %u and workers_max = %u",
				   pool->place, pool->name, workers, settings.workers_min, settings.workers_max);
	if (settings.workers_max == 0)
		return config_fail(config, "%s: pool %s: workers = 0 needs a workers_max to grow to",
				   pool->workers_place ? pool->workers_place : pool->place, pool->name);
	return 0;
}

int config_check_pool(struct config *config, const struct config_pool *pool)
{
	if (!pool->plugin || !pool->class)
		return config_fail(config, "%s: pool %s needs plugin and class", pool->place, pool->name);
	if (pool->isolation == ISOLATION_THREAD && pool->max_rss)
		return config_fail(config, "%s: pool %s: max_rss limits a process: it needs isolation = process", pool->place,
				   pool->name);
	if (check_size(config, pool) < 0 || check_json(config, pool) < 0 || config_check_share(config, pool) < 0)
		return -1;
	return config_cage_check(config, pool);
}

/* The addresses that the text stands for: one, or two for localhost. */
static int addresses_of(const char *text, struct address addresses[2])
{
	char reason[256];

	if (address_parse(&addresses[0], text, reason, sizeof reason) < 0)
		return 0;
	if (!address_second(text, &addresses[1]))
		return 1;
	address_set_port(&addresses[1], address_port(&addresses[0]));
	return 2;
}

static bool texts_overlap(const char *text, const char *other_text)
{
	struct address addresses[2], others[2];
	const int n = addresses_of(text, addresses), count = addresses_of(other_text, others);

	for (int i = 0; i < n; i++)
		for (int j = 0; j < count; j++)
			if (address_overlaps(&addresses[i], &others[j]))
				return true;
	return false;
}

/* The address of `key` must not be one of the first `count` that `listen` has. */
static int check_free(struct config *config, const char *key, const struct config_address *address, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct config_address *other = &config->listen[i];
		if (texts_overlap(address->text, other->text))
			return config_fail(config, "%s: %s = %s is given twice: see listen = %s, %s", address->place, key,
					   address->text, other->text, other->place);
	}
	return 0;
}

/* What an address that is listened on must have: TLS or a place that no stranger reaches; and for TLS a certificate. `danger`
 * says what strangers could do. */
static int check_exposure(struct config *config, const char *key, const struct config_address *at, const char *danger)
{
	struct address address;
	char reason[256];

	if (address_parse(&address, at->text, reason, sizeof reason) < 0)
		return config_fail(config, "%s: %s: %s", at->place, key, reason);
	if (address.tls && !config->tls_cert)
		return config_fail(config, "%s: %s = %s: TLS needs a certificate: set tls_cert and tls_key", at->place, key,
				   at->text);
	if (!address_is_loopback(&address) && !address.tls && !config->insecure_remote)
		return config_fail(config,
				   "%s: %s = %s: anyone on the network could %s; use tls:, or set insecure_remote = yes if that "
				   "is what you want",
				   at->place, key, at->text, danger);
	return 0;
}

static int check_listen(struct config *config, uint32_t i)
{
	const struct config_address *listen = &config->listen[i];

	if (check_exposure(config, "listen", listen, "call") < 0)
		return -1;
	return check_free(config, "listen", listen, i);
}

static int check_http(struct config *config)
{
	const struct config_address *http = &config->http;

	if (!http->text)
		return 0;
	if (check_exposure(config, "http", http, config->http_calls ? "call" : "read it") < 0)
		return -1;
	return check_free(config, "http", http, config->listen_count);
}

/* The keys that name files are given together. tls_context.c reads the files. */
static int check_tls(struct config *config)
{
	if (config->tls_cert && !config->tls_key)
		return config_fail(config, "%s: tls_cert needs tls_key", config_place(config, &config->tls_cert));
	if (config->tls_key && !config->tls_cert)
		return config_fail(config, "%s: tls_key needs tls_cert", config_place(config, &config->tls_key));
	if (config->tls_client_ca && !config->tls_cert)
		return config_fail(config, "%s: tls_client_ca needs tls_cert and tls_key",
				   config_place(config, &config->tls_client_ca));
	if (config->tls_crl && !config->tls_client_ca)
		return config_fail(config, "%s: tls_crl needs tls_client_ca", config_place(config, &config->tls_crl));
	if (config->tls_client == TLS_CLIENT_UNSET)
		config->tls_client = config->tls_client_ca ? TLS_CLIENT_REQUIRED : TLS_CLIENT_NONE;
	if (config->tls_client != TLS_CLIENT_NONE && !config->tls_client_ca)
		return config_fail(config, "%s: tls_client: clients' certificates need a tls_client_ca that vouches for them",
				   config_place(config, &config->tls_client));
	return 0;
}

static int check_user(struct config *config)
{
	const char *place = config_place(config, config->user ? &config->user : &config->group);

	if (config->group && !config->user)
		return config_fail(config, "%s: group needs user", place);
	if (config->user && !getpwnam(config->user))
		return config_fail(config, "%s: user = %s: there is no such user", place, config->user);
	for (uint32_t i = 0; config->user && i < config->pool_count; i++) {
		const struct config_pool *pool = &config->pools[i];
		if (pool->cage.user || pool->cage.group)
			return config_fail(config,
					   "%s: pool %s: only root can give processes another user or group, and the daemon does "
					   "not stay root: user = %s, %s",
					   pool->place, pool->name, config->user, place);
	}
	return 0;
}

int config_check(struct config *config)
{
	if (check_tls(config) < 0 || check_http(config) < 0 || check_user(config) < 0)
		return -1;
	for (uint32_t i = 0; i < config->listen_count; i++)
		if (check_listen(config, i) < 0)
			return -1;
	for (uint32_t i = 0; i < config->pool_count; i++)
		if (config_check_pool(config, &config->pools[i]) < 0)
			return -1;
	return config_check_cluster(config) < 0 ? -1 : config_check_users(config);
}
