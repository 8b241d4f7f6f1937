/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/view/remote_pools.h"

#include "daemon/core/records/pool.h"
#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/cluster/state.h"

#include <string.h>

static struct span span_of(const char *text)
{
	return (struct span){.bytes = (const uint8_t *)text, .size = strlen(text)};
}

/* The section, if it is about other hosts alone, and may be seen. The number is below `remote_count`. */
static const struct config_remote *shown(const struct daemon *daemon, const struct rights *rights, uint32_t i)
{
	const struct config_remote *remote = &daemon->config.remotes[i];

	return daemon->cluster && !pool_find(&daemon->core, span_of(remote->name)) &&
			       rights_allow(rights, RIGHT_DESCRIBE, remote->name)
		       ? remote
		       : NULL;
}

uint32_t remote_pools_count(const struct daemon *daemon, const struct rights *rights)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < daemon->config.remote_count; i++)
		count += shown(daemon, rights, i) != NULL;
	return count;
}

void remote_pools_pack_names(const struct daemon *daemon, const struct rights *rights, msgpack_packer *packer)
{
	for (uint32_t i = 0; i < daemon->config.remote_count; i++)
		if (shown(daemon, rights, i))
			pack_text(packer, daemon->config.remotes[i].name);
}

/* What a host shares under that name. NULL: nothing, it is not ready, or it is not one of the section's. */
static const struct host_pool *find(const struct config_remote *remote, const struct host *host)
{
	if (host->state != HOST_READY || (remote->hosts.count > 0 && !config_has_host(&remote->hosts, span_of(host->name))))
		return NULL;
	for (uint32_t i = 0; i < host->pool_count; i++)
		if (strcmp(host->pools[i].name, remote->name) == 0)
			return &host->pools[i];
	return NULL;
}

/* Of all its hosts together. */
struct sums {
	const char *class;
	uint64_t slots, ready, queued;
	uint32_t hosts;
};

static struct sums add_up(const struct config_remote *remote, const struct hosts *hosts)
{
	struct sums sums = {.class = ""};

	for (uint32_t i = 0; i < hosts->count; i++) {
		const struct host_pool *pool = find(remote, &hosts->hosts[i]);
		if (!pool)
			continue;
		sums.class = pool->class;
		sums.slots += pool->slots;
		sums.ready += pool->ready;
		sums.queued += pool->queued;
		sums.hosts++;
	}
	return sums;
}

static void pack_one(const struct config_remote *remote, const struct hosts *hosts, msgpack_packer *packer)
{
	const struct sums sums = add_up(remote, hosts);

	msgpack_pack_map(packer, 10);
	pair_text(packer, "name", remote->name);
	pair_text(packer, "plugin", "");
	pair_text(packer, "class", sums.class);
	pair_number(packer, "workers", sums.slots);
	pair_number(packer, "ready", sums.ready);
	pair_text(packer, "state", sums.ready > 0 ? "ready" : "unavailable");
	pair_number(packer, "queue", sums.queued);
	pair_flag(packer, "paused", false);
	pair_text(packer, "error", sums.hosts == 0 ? "no other host shares it now" : "");
	pack_text(packer, "hosts");
	msgpack_pack_array(packer, sums.hosts);
	for (uint32_t i = 0; i < hosts->count; i++)
		if (find(remote, &hosts->hosts[i]))
			pack_text(packer, hosts->hosts[i].name);
}

void remote_pools_pack(const struct daemon *daemon, const struct rights *rights, msgpack_packer *packer)
{
	for (uint32_t i = 0; i < daemon->config.remote_count; i++) {
		const struct config_remote *remote = shown(daemon, rights, i);
		if (remote)
			pack_one(remote, &daemon->cluster->hosts, packer);
	}
}
