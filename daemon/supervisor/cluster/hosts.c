/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/cluster/hosts.h"

#include "daemon/supervisor/base/packtext.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>

enum { HOSTS_MAX = 4096, POOLS_MAX = 4096 /* of a host; the rest is left out */ };

static const char *const states[HOST_STATES] = {
	[HOST_SELF] = "self", [HOST_READY] = "ready", [HOST_SILENT] = "silent", [HOST_GONE] = "gone"};
static const char *const counts[HOST_COUNTS] = {
	[HOST_CALLS] = "calls",           [HOST_SERVED] = "served", [HOST_INFLIGHT] = "inflight", [HOST_LATE] = "late",
	[HOST_DUPLICATES] = "duplicates", [HOST_RESENT] = "resent", [HOST_LOST_CALLS] = "lost"};

const char *host_state_name(enum host_state state)
{
	return states[state];
}

const char *host_count_name(enum host_count count)
{
	return counts[count];
}

uint32_t hosts_in(const struct hosts *hosts, enum host_state state)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < hosts->count; i++)
		n += hosts->hosts[i].state == state;
	return n;
}

static void free_host(struct host *host)
{
	for (uint32_t i = 0; i < host->pool_count; i++) {
		free(host->pools[i].name);
		free(host->pools[i].class);
	}
	free(host->pools);
}

void hosts_free(struct hosts *hosts)
{
	for (uint32_t i = 0; i < hosts->count; i++)
		free_host(&hosts->hosts[i]);
	free(hosts->hosts);
	free(hosts->bus.server);
	*hosts = (struct hosts){0};
}

/* ---- reading ---- */

/* A copy of the text, with "?" for what is no UTF-8. NULL: out of memory. */
static char *copy_text(struct span text)
{
	char *copy = strndup((const char *)text.bytes, text.size);

	if (copy)
		error_make_utf8(copy, strlen(copy));
	return copy;
}

/* The next value of the array; another type, or no value, leaves the default. */
static void read_number_or(struct reader *reader, uint64_t *number)
{
	struct span value;

	if (read_uint(reader, number) < 0)
		(void)read_value(reader, &value);
}

/* [pool, class, slots, ready, queued, running, open?] */
static int read_pool(struct host *host, struct span value)
{
	struct reader reader = reader_of(value);
	struct host_pool *pool = &host->pools[host->pool_count];
	struct span name, class;
	uint32_t n;

	if (read_array(&reader, &n) < 0 || n < 6 || read_text(&reader, &name) < 0 || read_text(&reader, &class) < 0)
		return -EBADMSG;
	*pool = (struct host_pool){.name = copy_text(name), .class = copy_text(class), .open = true};
	host->pool_count++;
	read_number_or(&reader, &pool->slots);
	read_number_or(&reader, &pool->ready);
	read_number_or(&reader, &pool->queued);
	read_number_or(&reader, &pool->running);
	if (n > 6)
		(void)read_bool(&reader, &pool->open);
	return pool->name && pool->class ? 0 : -ENOMEM;
}

/* The values have come, so the array is no larger than its message. */
static int read_pools(struct host *host, struct reader *reader)
{
	struct span value;
	uint32_t n;
	int r = 0;

	if (host->pools || read_array(reader, &n) < 0)
		return -EBADMSG;
	const uint32_t most = n < POOLS_MAX ? n : POOLS_MAX;
	host->pools = calloc(most + 1, sizeof *host->pools);
	if (!host->pools)
		return -ENOMEM;
	for (uint32_t i = 0; i < most && r == 0; i++)
		r = read_value(reader, &value) < 0 ? -EBADMSG : read_pool(host, value);
	return r;
}

static int read_state(enum host_state *state, struct reader *reader)
{
	struct span text;

	if (read_text(reader, &text) < 0)
		return -EBADMSG;
	for (int i = 0; i < HOST_STATES; i++)
		if (span_is(text, states[i])) {
			*state = (enum host_state)i;
			return 0;
		}
	return -EBADMSG;
}

static int read_name(struct host *host, struct reader *reader)
{
	struct span text;

	if (read_text(reader, &text) < 0 || text.size == 0 || text.size > GATEWAY_NAME_MAX)
		return -EBADMSG;
	snprintf(host->name, sizeof host->name, "%.*s", (int)text.size, (const char *)text.bytes);
	error_make_utf8(host->name, strlen(host->name));
	return 0;
}

/* A key that is not known is passed over. */
static int read_key(struct host *host, struct span key, struct reader *value)
{
	uint64_t rtt = 0;

	if (span_is(key, "name"))
		return read_name(host, value);
	if (span_is(key, "state"))
		return read_state(&host->state, value);
	if (span_is(key, "pools"))
		return read_pools(host, value);
	if (span_is(key, "incarnation"))
		read_number_or(value, &host->incarnation);
	else if (span_is(key, "since_ms"))
		read_number_or(value, &host->since_ms);
	else if (span_is(key, "heard_ms"))
		read_number_or(value, &host->heard_ms);
	else if (span_is(key, "rtt_us"))
		host->rtt_us = read_uint(value, &rtt) == 0 ? (int64_t)rtt : -1;
	for (int i = 0; i < HOST_COUNTS; i++)
		if (span_is(key, counts[i]))
			read_number_or(value, &host->counts[i]);
	return 0;
}

static int read_host(struct host *host, struct span value)
{
	struct reader reader = reader_of(value), look;
	struct span key, of_key;
	uint32_t n;
	int r = 0;

	*host = (struct host){.rtt_us = -1, .state = HOST_GONE};
	if (read_map(&reader, &n) < 0)
		return -EBADMSG;
	for (; n > 0 && r == 0; n--) {
		if (read_text(&reader, &key) < 0)
			return -EBADMSG;
		look = reader;
		r = read_value(&reader, &of_key) < 0 ? -EBADMSG : read_key(host, key, &look);
	}
	return r == 0 && !host->name[0] ? -EBADMSG : r;
}

static int read_hosts(struct hosts *hosts, struct span list)
{
	struct reader reader = reader_of(list);
	struct span value;
	uint32_t n;
	int r = 0;

	if (read_array(&reader, &n) < 0)
		return -EBADMSG;
	const uint32_t most = n < HOSTS_MAX ? n : HOSTS_MAX;
	hosts->hosts = calloc(most + 1, sizeof *hosts->hosts);
	if (!hosts->hosts)
		return -ENOMEM;
	while (r == 0 && hosts->count < most)
		r = read_value(&reader, &value) < 0 ? -EBADMSG : read_host(&hosts->hosts[hosts->count++], value);
	return r;
}

static int read_bus(struct bus *bus, struct span value)
{
	struct reader reader = reader_of(value), look;
	const struct {
		const char *key;
		uint64_t *number;
	} numbers[] = {{"reconnects", &bus->reconnects},   {"slow", &bus->slow},
		       {"in_bytes", &bus->in_bytes},       {"out_bytes", &bus->out_bytes},
		       {"in_messages", &bus->in_messages}, {"out_messages", &bus->out_messages},
		       {"late", &bus->late},               {"memory", &bus->memory},
		       {"memory_limit", &bus->memory_limit}};
	struct span key, of_key, text;
	uint32_t n;

	if (read_map(&reader, &n) < 0)
		return -EBADMSG;
	for (; n > 0; n--) {
		if (read_text(&reader, &key) < 0)
			return -EBADMSG;
		look = reader;
		if (read_value(&reader, &of_key) < 0)
			return -EBADMSG;
		if (span_is(key, "server") && !bus->server && read_text(&look, &text) == 0 && !(bus->server = copy_text(text)))
			return -ENOMEM;
		for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
			if (span_is(key, numbers[i].key))
				read_number_or(&look, numbers[i].number);
	}
	return 0;
}

int hosts_read(struct hosts *hosts, struct span list, struct span bus)
{
	struct hosts next = {0};
	int r = read_hosts(&next, list);

	if (r == 0)
		r = read_bus(&next.bus, bus);
	if (r < 0) {
		hosts_free(&next);
		return r;
	}
	hosts_free(hosts);
	*hosts = next;
	return 0;
}

/* ---- packing ---- */

static void pack_pool(const struct host_pool *pool, msgpack_packer *packer)
{
	msgpack_pack_map(packer, 6);
	pair_text(packer, "pool", pool->name);
	pair_text(packer, "class", pool->class);
	pair_number(packer, "slots", pool->slots);
	pair_number(packer, "ready", pool->ready);
	pair_number(packer, "queue", pool->queued);
	pair_number(packer, "running", pool->running);
}

static void pack_pools(const struct host *host, const struct rights *rights, msgpack_packer *packer)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < host->pool_count; i++)
		n += rights_may_see(rights, host->pools[i].name);
	msgpack_pack_array(packer, n);
	for (uint32_t i = 0; i < host->pool_count; i++)
		if (rights_may_see(rights, host->pools[i].name))
			pack_pool(&host->pools[i], packer);
}

static void pack_rtt(int64_t rtt_us, msgpack_packer *packer)
{
	pack_text(packer, "rtt_us");
	if (rtt_us >= 0)
		msgpack_pack_int64(packer, rtt_us);
	else
		msgpack_pack_nil(packer);
}

static void pack_host(const struct host *host, const struct rights *rights, msgpack_packer *packer)
{
	char incarnation[20];

	snprintf(incarnation, sizeof incarnation, "%016llx", (unsigned long long)host->incarnation);
	msgpack_pack_map(packer, 7 + HOST_COUNTS);
	pair_text(packer, "name", host->name);
	pair_text(packer, "state", states[host->state]);
	pair_text(packer, "incarnation", incarnation);
	pair_seconds(packer, "since_s", host->since_ms * 1000000);
	pair_seconds(packer, "heard_s", host->heard_ms * 1000000);
	pack_rtt(host->rtt_us, packer);
	pack_text(packer, "pools");
	pack_pools(host, rights, packer);
	for (int i = 0; i < HOST_COUNTS; i++)
		pair_number(packer, counts[i], host->counts[i]);
}

void hosts_pack(const struct hosts *hosts, const struct rights *rights, msgpack_packer *packer)
{
	msgpack_pack_array(packer, hosts->count);
	for (uint32_t i = 0; i < hosts->count; i++)
		pack_host(&hosts->hosts[i], rights, packer);
}
