/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/cluster/to_gateway.h"

#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/cluster/params.h"
#include "daemon/supervisor/cluster/shared.h"
#include "proto/gateway_link.h"
#include "proto/pack.h"

#include <string.h>

enum { MESSAGE_HEAD = 2 * PACK_HEAD + 4 * PACK_UINT };

/* ---- what has few numbers ---- */

static void put_numbers(struct cluster *cluster, enum to_gateway type, uint32_t count, const uint64_t *numbers)
{
	uint8_t *p = sendq_reserve(&cluster->out, MESSAGE_HEAD);

	if (!p)
		return;
	uint8_t *end = pack_uint(pack_array(p, count + 1), type);
	for (uint32_t i = 0; i < count; i++)
		end = pack_uint(end, numbers[i]);
	sendq_commit(&cluster->out, (size_t)(end - p));
	cluster->written += (size_t)(end - p);
}

void to_gateway_close(struct cluster *cluster, uint64_t number)
{
	put_numbers(cluster, TO_GATEWAY_CLOSE, 1, &number);
}

void to_gateway_taken(struct cluster *cluster, uint64_t number, uint64_t bytes)
{
	put_numbers(cluster, TO_GATEWAY_TAKEN, 2, (const uint64_t[]){number, bytes});
}

void to_gateway_drain(struct cluster *cluster)
{
	put_numbers(cluster, TO_GATEWAY_DRAIN, 0, NULL);
}

/* ---- a client's message ---- */

uint64_t to_gateway_size(const struct rpc *rpc, const struct block *block)
{
	return rpc->method.size + MESSAGE_HEAD + params_size(rpc->params, block);
}

static uint8_t *put_rpc_head(uint8_t *p, const struct rpc *rpc)
{
	p = pack_uint(pack_array(p, rpc->type == RPC_REQUEST ? 4 : 3), rpc->type);
	if (rpc->type == RPC_REQUEST)
		p = pack_uint(p, rpc->msgid);
	return pack_str_head(p, (uint32_t)rpc->method.size);
}

void to_gateway_message(struct cluster *cluster, uint64_t number, const struct rpc *rpc, struct block *block)
{
	const size_t before = cluster->out.bytes;
	uint8_t *p = sendq_reserve_with(&cluster->out, MESSAGE_HEAD, rpc->method.size + rpc->params.size);

	if (!p)
		return;
	uint8_t *end = put_rpc_head(pack_uint(pack_uint(pack_array(p, 3), TO_GATEWAY_MESSAGE), number), rpc);
	sendq_commit(&cluster->out, (size_t)(end - p));
	sendq_copy(&cluster->out, rpc->method.bytes, rpc->method.size);
	params_put(&cluster->out, rpc->params, block);
	cluster->written += cluster->out.bytes - before;
}

/* ---- what has maps ---- */

static void begin(struct cluster *cluster, msgpack_packer *packer, enum to_gateway type, uint32_t count)
{
	msgpack_packer_init(packer, &cluster->out, sendq_write);
	msgpack_pack_array(packer, count);
	msgpack_pack_int(packer, (int)type);
}

void to_gateway_open(struct cluster *cluster, uint64_t number, const char *user, enum error_form form, const char *name)
{
	static const char *const forms[ERROR_FORMS] = {
		[ERRORS_AS_STRING] = "string", [ERRORS_AS_MAP] = "map", [ERRORS_AS_PAIR] = "pair"};
	const size_t before = cluster->out.bytes;
	msgpack_packer packer;

	begin(cluster, &packer, TO_GATEWAY_OPEN, 3);
	msgpack_pack_uint64(&packer, number);
	msgpack_pack_map(&packer, 3);
	pair_text_or_nil(&packer, "user", user);
	pair_text(&packer, "errors", forms[form]);
	pair_text_or_nil(&packer, "client", name[0] ? name : NULL);
	cluster->written += cluster->out.bytes - before;
}

static void pack_words(msgpack_packer *packer, const struct config_words *list)
{
	msgpack_pack_array(packer, list->count);
	for (uint32_t i = 0; i < list->count; i++)
		pack_text(packer, list->words[i].text);
}

/* "*", if the list has it, or is empty and `none_is_all`. */
static void pack_hosts(msgpack_packer *packer, const struct config_words *hosts, bool none_is_all)
{
	static const struct span nobody = {0};

	if ((hosts->count == 0 && none_is_all) || config_has_host(hosts, nobody))
		pack_text(packer, "*");
	else
		pack_words(packer, hosts);
}

static void pack_remotes(msgpack_packer *packer, const struct config *config)
{
	static const char *const preferences[] = {[PREFER_LOCAL] = "local", [PREFER_LOAD] = "load"};

	msgpack_pack_map(packer, config->remote_count);
	for (uint32_t i = 0; i < config->remote_count; i++) {
		const struct config_remote *remote = &config->remotes[i];
		pack_text(packer, remote->name);
		msgpack_pack_map(packer, 2);
		pack_text(packer, "hosts");
		pack_hosts(packer, &remote->hosts, true);
		pair_text(packer, "prefer", preferences[remote->prefer]);
	}
}

/* Other hosts may have a quarter of the descriptors: as many are for sessions of the clients here (from_gateway.c). */
static uint64_t sessions_of_others(const struct daemon *daemon)
{
	const uint64_t most = daemon->config.cluster.max_sessions, quarter = daemon->core.memory.files_max / 4;

	return daemon->core.memory.files_max > 0 && quarter < most ? quarter + 1 : most;
}

void to_gateway_config(struct cluster *cluster)
{
	const struct config *config = &cluster->daemon->config;
	const struct config_cluster *section = &config->cluster;
	const size_t before = cluster->out.bytes;
	msgpack_packer packer;

	begin(cluster, &packer, TO_GATEWAY_CONFIG, 2);
	msgpack_pack_map(&packer, 12);
	pair_text(&packer, "name", section->name);
	pair_text(&packer, "domain", section->domain);
	pack_text(&packer, "bus");
	pack_words(&packer, &section->bus);
	pair_text_or_nil(&packer, "ca", section->bus_ca);
	pair_text_or_nil(&packer, "cert", section->bus_cert);
	pair_text_or_nil(&packer, "key", section->bus_key);
	pair_text_or_nil(&packer, "creds", section->bus_creds);
	pack_text(&packer, "remotes");
	pack_remotes(&packer, config);
	pair_number(&packer, "max_message", cluster->daemon->core.limits.max_message);
	pair_number(&packer, "max_sessions", sessions_of_others(cluster->daemon));
	pair_number(&packer, "max_memory", section->max_memory);
	pair_text(&packer, "build", OBJPOOL_VERSION);
	cluster->written += cluster->out.bytes - before;
}

/* ---- the pools here ---- */

static void pack_trust(msgpack_packer *packer, const struct config_pool *section)
{
	if (section->trust.count > 0)
		pack_hosts(packer, &section->trust, false);
	else
		msgpack_pack_nil(packer);
}

static void pack_pool(msgpack_packer *packer, const struct pool *pool)
{
	const struct config_pool *section = shared_section(pool);
	const uint32_t ready = shared_ready(pool);

	msgpack_pack_array(packer, 9);
	pack_text(packer, pool->name);
	pack_text(packer, section->class);
	msgpack_pack_uint32(packer, pool->size);
	msgpack_pack_array(packer, ready);
	for (uint32_t i = 0; i < pool->size && ready > 0; i++)
		if (shared_slot_is_ready(pool, i))
			msgpack_pack_uint32(packer, i);
	msgpack_pack_uint32(packer, pool->waiting);
	msgpack_pack_uint32(packer, shared_running(pool));
	(section->unpickle ? msgpack_pack_true : msgpack_pack_false)(packer);
	pack_trust(packer, section);
	msgpack_pack_uint64(packer, shared_finished(pool));
}

void to_gateway_pools(struct cluster *cluster)
{
	const struct core *core = &cluster->daemon->core;
	const size_t before = cluster->out.bytes;
	const struct pool *pool;
	msgpack_packer packer;
	uint32_t n = 0;

	TAILQ_FOREACH(pool, &core->pools, link)
		n += shared_section(pool) != NULL;
	begin(cluster, &packer, TO_GATEWAY_POOLS, 2);
	msgpack_pack_array(&packer, n);
	TAILQ_FOREACH(pool, &core->pools, link)
		if (shared_section(pool))
			pack_pool(&packer, pool);
	cluster->written += cluster->out.bytes - before;
}
