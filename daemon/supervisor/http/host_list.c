/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/host_list.h"

#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/cluster/state.h"

enum { HOSTS_SHOWN = 100, POOLS_SHOWN = 20 /* of a host */, EVENTS_SHOWN = 50 };

/* ---- hosts ---- */

static void pack_pool(const struct host_pool *pool, msgpack_packer *packer)
{
	msgpack_pack_map(packer, 5);
	pair_text(packer, "pool", pool->name);
	pair_number(packer, "slots", pool->slots);
	pair_number(packer, "ready", pool->ready);
	pair_number(packer, "queue", pool->queued);
	pair_number(packer, "running", pool->running);
}

/* Two keys. */
static void pack_pools(const struct host *host, const struct rights *rights, msgpack_packer *packer)
{
	uint32_t seen = 0, left;

	for (uint32_t i = 0; i < host->pool_count; i++)
		seen += rights_may_see(rights, host->pools[i].name);
	left = seen < POOLS_SHOWN ? seen : POOLS_SHOWN;
	pair_number(packer, "pool_count", seen);
	pack_text(packer, "pools");
	msgpack_pack_array(packer, left);
	for (uint32_t i = 0; left > 0; i++)
		if (rights_may_see(rights, host->pools[i].name)) {
			pack_pool(&host->pools[i], packer);
			left--;
		}
}

/* When that was, in milliseconds of the daemon's clock. */
static void pair_ago(const struct daemon *daemon, const char *key, uint64_t ms_ago, msgpack_packer *packer)
{
	const uint64_t now = (daemon->core.now - daemon->started) / MILLISECOND;

	pair_number(packer, key, ms_ago < now ? now - ms_ago : 0);
}

static void pack_host(const struct daemon *daemon, const struct host *host, const struct rights *rights, msgpack_packer *packer)
{
	msgpack_pack_map(packer, 10);
	pair_text(packer, "name", host->name);
	pair_text(packer, "state", host_state_name(host->state));
	pair_ago(daemon, "since", host->since_ms, packer);
	pair_ago(daemon, "heard", host->heard_ms, packer);
	pack_text(packer, "rtt_us");
	if (host->rtt_us >= 0)
		msgpack_pack_int64(packer, host->rtt_us);
	else
		msgpack_pack_nil(packer);
	pack_pools(host, rights, packer);
	pair_number(packer, "calls", host->counts[HOST_CALLS]);
	pair_number(packer, "inflight", host->counts[HOST_INFLIGHT]);
	pair_number(packer, "lost", host->counts[HOST_LOST_CALLS]);
}

void host_list_pack(const struct daemon *daemon, const struct rights *rights, msgpack_packer *packer)
{
	const struct cluster *cluster = daemon->cluster;
	const struct hosts *hosts = &cluster->hosts;
	const uint32_t shown = hosts->count < HOSTS_SHOWN ? hosts->count : HOSTS_SHOWN;

	msgpack_pack_map(packer, 14);
	pair_text(packer, "name", daemon->config.cluster.name);
	pair_text(packer, "domain", daemon->config.cluster.domain);
	pair_text(packer, "state", cluster->bus_state);
	pair_text(packer, "text", cluster->bus_text);
	pair_text_or_nil(packer, "server", hosts->bus.server);
	pair_number(packer, "in_bytes", hosts->bus.in_bytes);
	pair_number(packer, "out_bytes", hosts->bus.out_bytes);
	pair_number(packer, "starts", cluster->starts);
	pair_number(packer, "requests", cluster->errands);
	pair_number(packer, "calls", cluster->calls);
	pair_number(packer, "lost", cluster->lost);
	pair_number(packer, "ready", hosts_in(hosts, HOST_READY));
	pair_number(packer, "count", hosts->count);
	pack_text(packer, "hosts");
	msgpack_pack_array(packer, shown);
	for (uint32_t i = 0; i < shown; i++)
		pack_host(daemon, &hosts->hosts[i], rights, packer);
}

/* ---- events ---- */

static const struct happened_event *next_event(struct happened_place *place)
{
	const struct happened_event *event;
	uint64_t lost = 0;

	while ((event = happened_next(place, &lost)) && !happened_is_of_cluster(event->kind))
		;
	return event;
}

uint32_t host_list_count_events(struct happened_place *place)
{
	uint32_t count = 0;

	while (next_event(place))
		count++;
	return count;
}

void host_list_pack_events(struct happened_place place, msgpack_packer *packer)
{
	struct happened_place look = place;
	uint32_t count = host_list_count_events(&look);
	const struct happened_event *event;

	for (; count > EVENTS_SHOWN; count--)
		(void)next_event(&place);
	msgpack_pack_array(packer, count);
	while ((event = next_event(&place))) {
		msgpack_pack_map(packer, 4);
		pair_number(packer, "number", event->number);
		pair_number(packer, "at", (uint64_t)event->at);
		pair_text(packer, "kind", happened_name(event->kind));
		pair_text(packer, "text", event->text);
	}
}
