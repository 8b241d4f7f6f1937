/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/cluster/offers.h"

#include "daemon/supervisor/cluster/shared.h"

#include <errno.h>
#include <stdlib.h>

struct offer {
	const struct config_remote *section;
	bool elsewhere; /* another host of the section has an instance that is ready, or makes one for a call */
};

int offers_settle(struct cluster *cluster)
{
	const struct config *config = &cluster->daemon->config;

	offers_free(cluster);
	if (config->remote_count == 0)
		return 0;
	cluster->offer_list = calloc(config->remote_count, sizeof *cluster->offer_list);
	if (!cluster->offer_list)
		return -ENOMEM;
	for (; cluster->offer_count < config->remote_count; cluster->offer_count++) {
		struct offer *offer = &cluster->offer_list[cluster->offer_count];
		offer->section = &config->remotes[cluster->offer_count];
		const char *name = offer->section->name;
		if (idmap_add(&cluster->offers, name_hash(name, strlen(name)), offer) == -ENOMEM)
			return -ENOMEM;
	}
	offers_look_at_hosts(cluster);
	return 0;
}

void offers_free(struct cluster *cluster)
{
	idmap_free(&cluster->offers);
	cluster->offers = (struct idmap){0};
	free(cluster->offer_list);
	cluster->offer_list = NULL;
	cluster->offer_count = 0;
}

/* ---- who would do it ---- */

static bool would_do(const struct host *host, const struct config_remote *section)
{
	const struct span name = {.bytes = (const uint8_t *)host->name, .size = strlen(host->name)};

	if (host->state != HOST_READY || (section->hosts.count > 0 && !config_has_host(&section->hosts, name)))
		return false;
	for (uint32_t i = 0; i < host->pool_count; i++) {
		const struct host_pool *pool = &host->pools[i];
		if (!strcmp(pool->name, section->name))
			return pool->open && (pool->ready > 0 || pool->slots == 0);
	}
	return false;
}

void offers_look_at_hosts(struct cluster *cluster)
{
	const bool connected = !strcmp(cluster->bus_state, "connected");

	for (uint32_t i = 0; i < cluster->offer_count; i++) {
		struct offer *offer = &cluster->offer_list[i];
		offer->elsewhere = false;
		for (uint32_t k = 0; k < cluster->hosts.count && connected && !offer->elsewhere; k++)
			offer->elsewhere = would_do(&cluster->hosts.hosts[k], offer->section);
	}
}

/* ---- for the core ---- */

static const struct offer *find(const struct remote *remote, struct span pool)
{
	const struct cluster *cluster = container_of(remote, const struct cluster, remote);
	const struct offer *offer = idmap_get(&cluster->offers, name_hash(pool.bytes, pool.size));

	return offer && span_is(pool, offer->section->name) ? offer : NULL;
}

bool offers_pool(const struct remote *remote, struct span pool)
{
	return find(remote, pool) != NULL;
}

/* What names a slot, a key or all slots is for the pool here, if there is one. */
bool offers_take(const struct remote *remote, const struct target *target, const struct pool *pool)
{
	const struct offer *offer = find(remote, target->pool);

	if (!offer || !pool)
		return offer != NULL;
	if (!offer->elsewhere || (target->select != SELECT_ANY && target->select != SELECT_MAP))
		return false;
	return offer->section->prefer == PREFER_LOAD || (target->select == SELECT_ANY && shared_is_full(pool));
}
