/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/pool.h"
#include "daemon/supervisor/admin/admin.h"
#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/view/config_text.h"
#include "daemon/supervisor/view/status.h"

#include <stdlib.h>

/* ---- objpool.log_level ---- */

static void set_level(struct daemon *daemon, uint32_t level)
{
	daemon->config.log_level = level;
	log_set_levels((struct log_levels){.own = level, .workers = daemon->config.worker_log_level});
	daemon_set_trace(daemon);
}

int admin_log_level(struct request *request)
{
	static const char what[] = "nothing, or one of error, warning, info and debug";
	struct daemon *daemon = request->daemon;
	struct span name;

	if (request->count > 1)
		return admin_refuse_params(request, what);
	request->steers = request->count > 0 && read_nil(&request->args) < 0;
	if (request->steers) {
		const int level = read_text(&request->args, &name) == 0 ? config_level_of(name) : -1;
		if (level < 0)
			return admin_refuse_params(request, what);
		set_level(daemon, (uint32_t)level);
	}
	pack_text(request->result, config_level_name(daemon->config.log_level));
	return 0;
}

/* ---- objpool.config ---- */

int admin_config(struct request *request)
{
	size_t size;

	if (request->count > 0)
		return admin_refuse_params(request, "no arguments");
	char *text = config_text(request->daemon, &size);
	if (!text)
		return admin_no_memory(request);
	msgpack_pack_str_with_body(request->result, text, size);
	free(text);
	return 0;
}

/* ---- objpool.drain ---- */

static bool is_waited_for(const struct pool *pool)
{
	return pool->calls_count > 0 || status_direct(pool) > 0;
}

/* What each pool still does. */
static void pack_rest(const struct daemon *daemon, msgpack_packer *result)
{
	const struct pool *pool;
	uint32_t n = 0;

	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		n += is_waited_for(pool);
	pack_text(result, "pools");
	msgpack_pack_array(result, n);
	TAILQ_FOREACH(pool, &daemon->core.pools, link) {
		if (!is_waited_for(pool))
			continue;
		msgpack_pack_map(result, 3);
		pair_text(result, "name", pool->name);
		pair_number(result, "calls", pool->calls_count);
		pair_number(result, "direct", status_direct(pool));
	}
}

static void pack_time_left(const struct daemon *daemon, msgpack_packer *result)
{
	const uint64_t now = daemon->core.now;

	if (daemon->state == DAEMON_DRAINING && daemon->stop_at != NEVER) {
		pair_seconds(result, "left_s", daemon->stop_at > now ? daemon->stop_at - now : 0);
	} else {
		pack_text(result, "left_s");
		msgpack_pack_nil(result);
	}
}

int admin_drain(struct request *request)
{
	struct daemon *daemon = request->daemon;

	if (request->count > 0)
		return admin_refuse_params(request, "no arguments");
	request->steers = daemon->state == DAEMON_RUNNING;
	if (request->steers)
		daemon->ops->stop(daemon, false);
	msgpack_pack_map(request->result, 4);
	pair_number(request->result, "calls", status_calls(daemon));
	pair_number(request->result, "direct", status_direct_channels(daemon));
	pack_rest(daemon, request->result);
	pack_time_left(daemon, request->result);
	return 0;
}
