/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/view/cluster_view.h"

#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/cluster/state.h"

static void pack_bus(const struct cluster *cluster, msgpack_packer *packer)
{
	const struct bus *bus = &cluster->hosts.bus;

	msgpack_pack_map(packer, 9);
	pair_text(packer, "state", cluster->bus_state);
	pair_text(packer, "text", cluster->bus_text);
	pair_text_or_nil(packer, "server", bus->server);
	pair_number(packer, "reconnects", bus->reconnects);
	pair_number(packer, "slow", bus->slow);
	pair_number(packer, "in_bytes", bus->in_bytes);
	pair_number(packer, "out_bytes", bus->out_bytes);
	pair_number(packer, "in_messages", bus->in_messages);
	pair_number(packer, "out_messages", bus->out_messages);
}

static void pack_gateway(const struct cluster *cluster, msgpack_packer *packer)
{
	msgpack_pack_map(packer, 9);
	pair_number(packer, "pid", (uint64_t)cluster->pid);
	pair_number(packer, "starts", cluster->starts);
	pair_number(packer, "requests", cluster->errands);
	pair_number(packer, "calls", cluster->calls);
	pair_number(packer, "lost", cluster->lost);
	pair_number(packer, "dropped", cluster->dropped);
	pair_number(packer, "late", cluster->hosts.bus.late);
	pair_number(packer, "memory", cluster->hosts.bus.memory);
	pair_number(packer, "memory_limit", cluster->hosts.bus.memory_limit);
}

static void pack_none(msgpack_packer *packer)
{
	msgpack_pack_map(packer, 2);
	pair_text_or_nil(packer, "name", NULL);
	pack_text(packer, "hosts");
	msgpack_pack_array(packer, 0);
}

void cluster_view_pack(const struct daemon *daemon, const struct rights *rights, msgpack_packer *packer)
{
	const struct cluster *cluster = daemon->cluster;

	if (!cluster) {
		pack_none(packer);
		return;
	}
	msgpack_pack_map(packer, 5);
	pair_text(packer, "name", daemon->config.cluster.name);
	pair_text(packer, "domain", daemon->config.cluster.domain);
	pack_text(packer, "bus");
	pack_bus(cluster, packer);
	pack_text(packer, "gateway");
	pack_gateway(cluster, packer);
	pack_text(packer, "hosts");
	hosts_pack(&cluster->hosts, rights, packer);
}

void cluster_view_pack_short(const struct daemon *daemon, msgpack_packer *packer)
{
	const struct cluster *cluster = daemon->cluster;

	if (!cluster) {
		msgpack_pack_nil(packer);
		return;
	}
	msgpack_pack_map(packer, 5);
	pair_text(packer, "name", daemon->config.cluster.name);
	pair_text(packer, "domain", daemon->config.cluster.domain);
	pair_text(packer, "bus", cluster->bus_state);
	pair_number(packer, "hosts", hosts_in(&cluster->hosts, HOST_READY));
	pair_number(packer, "requests", cluster->errands);
}
