/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/config/config_cluster.h"

#include "daemon/supervisor/config/config.h"
#include "daemon/supervisor/config/config_pool.h"
#include "daemon/supervisor/config/config_table.h"
#include "daemon/supervisor/config/config_values.h"
#include "daemon/supervisor/config/config_words.h"
#include "proto/gateway_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { REMOTES_MAX = 1000 };

/* ---- [remote NAME] ---- */

static const struct config_remote *find_remote(const struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->remote_count; i++)
		if (!strcmp(config->remotes[i].name, name))
			return &config->remotes[i];
	return NULL;
}

int config_add_remote(struct config *config, const char *name, const char *place)
{
	const struct config_remote *other = find_remote(config, name);

	if (!config_is_pool_name(name))
		return config_fail(config, "%s: \"%.100s\" can't be a pool's name: use letters, digits, _ and -, and not objpool",
				   place, name);
	if (other)
		return config_fail(config, "%s: remote pool %s is given twice: see %s", place, name, other->place);
	if (config->remote_count == REMOTES_MAX)
		return config_fail(config, "%s: these are more than %d remote pools", place, REMOTES_MAX);
	struct config_remote *remotes = realloc(config->remotes, (config->remote_count + 1) * sizeof *remotes);
	if (!remotes)
		return config_no_memory(config);
	config->remotes = remotes;
	struct config_remote *remote = &remotes[config->remote_count++];
	*remote = (struct config_remote){.name = strdup(name), .place = strdup(place)};
	config_preset(remote, &config_of_remote);
	return remote->name && remote->place ? 0 : config_no_memory(config);
}

void *config_last_remote(struct config *config)
{
	return &config->remotes[config->remote_count - 1];
}

/* ---- checking ---- */

/* Without a name in the section, it is that of the machine up to the first dot. */
static int settle_name(struct config *config)
{
	struct config_cluster *cluster = &config->cluster;
	char name[256];

	if (cluster->name && !strcmp(cluster->name, GATEWAY_BUS_HOST))
		return config_fail(config, "%s: [cluster] name = %s: users of programs on the bus have that name", cluster->place,
				   cluster->name);
	if (cluster->name)
		return config_is_host_name(cluster->name)
			       ? 0
			       : config_fail(config, "%s: [cluster] name = %.100s: use up to %d letters, digits, _ and -",
					     cluster->place, cluster->name, GATEWAY_NAME_MAX);
	if (gethostname(name, sizeof name) < 0)
		return config_fail(config, "%s: [cluster]: the machine has no name (%s): set name", cluster->place,
				   strerror(errno));
	name[sizeof name - 1] = '\0';
	name[strcspn(name, ".")] = '\0';
	if (!config_is_host_name(name) || !strcmp(name, GATEWAY_BUS_HOST))
		return config_fail(config,
				   "%s: [cluster]: the machine's name \"%.100s\" can't be that of a host (up to %d letters, digits, _ "
				   "and -): set name",
				   cluster->place, name, GATEWAY_NAME_MAX);
	cluster->name = strdup(name);
	return cluster->name ? 0 : config_no_memory(config);
}

static int check_bus(struct config *config)
{
	const struct config_cluster *cluster = &config->cluster;

	if (cluster->bus.count == 0)
		return config_fail(config, "%s: [cluster] needs bus, the address of a NATS server", cluster->place);
	if (cluster->bus.count > GATEWAY_SERVERS_MAX)
		return config_fail(config, "%s: [cluster] bus has %u addresses: it may have %d", cluster->place,
				   cluster->bus.count, GATEWAY_SERVERS_MAX);
	if (!cluster->bus_cert != !cluster->bus_key)
		return config_fail(config, "%s: [cluster]: bus_cert and bus_key go together", cluster->place);
	if (config_is_host_name(cluster->domain))
		return 0;
	return config_fail(config, "%s: [cluster] domain = %.100s: use up to %d letters, digits, _ and -", cluster->place,
			   cluster->domain, GATEWAY_NAME_MAX);
}

static int check_shared(struct config *config)
{
	uint32_t shared = 0;

	for (uint32_t i = 0; i < config->pool_count; i++)
		shared += config->pools[i].share;
	if (shared <= GATEWAY_SHARED_MAX)
		return 0;
	return config_fail(config, "%s: [cluster]: %u pools have share = yes: %d of a host may", config->cluster.place, shared,
			   GATEWAY_SHARED_MAX);
}

int config_check_cluster(struct config *config)
{
	if (config->remote_count > 0 && !config->cluster.place)
		return config_fail(config, "%s: [remote %s] needs a [cluster] section, which says how other hosts are reached",
				   config->remotes[0].place, config->remotes[0].name);
	if (!config->cluster.place)
		return 0;
	return settle_name(config) < 0 || check_bus(config) < 0 ? -1 : check_shared(config);
}

int config_check_share(struct config *config, const struct config_pool *pool)
{
	if (!pool->share || !pool->unpickle || pool->trust.count > 0)
		return 0;
	return config_fail(config,
			   "%s: pool %s: with share = yes and unpickle = yes other hosts can run code here: name those that may, with "
			   "trust = HOSTS",
			   pool->place, pool->name);
}

static void warn_of_share(const struct config_pool *pool, void (*say)(const char *text))
{
	char text[400];

	snprintf(text, sizeof text, "%s: pool %s: share = yes has no effect without a section [cluster]", pool->place,
		 pool->name);
	say(text);
}

static void warn_of_load(const struct config_remote *remote, const struct config_pool *pool, void (*say)(const char *text))
{
	char text[400];

	snprintf(text, sizeof text,
		 "%s: [remote %s] prefer = load: the pool here is not shared, so plain calls go to other hosts while one is ready; "
		 "set share = yes in its section",
		 remote->place, pool->name);
	say(text);
}

void config_warn_of_cluster(const struct config *config, void (*say)(const char *text))
{
	for (uint32_t i = 0; i < config->pool_count; i++) {
		const struct config_pool *pool = &config->pools[i];
		const struct config_remote *remote = find_remote(config, pool->name);
		if (pool->share && !config->cluster.place)
			warn_of_share(pool, say);
		if (!pool->share && remote && remote->prefer == PREFER_LOAD)
			warn_of_load(remote, pool, say);
	}
}
