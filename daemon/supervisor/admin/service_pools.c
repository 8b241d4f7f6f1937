/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/admin/admin.h"

#include "daemon/core/calls/direct.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/life/pause.h"
#include "daemon/core/life/pool_life.h"
#include "daemon/core/life/sizing.h"
#include "daemon/core/dispatch/sticky.h"
#include "daemon/supervisor/connections/session_identity.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/admin/pending_admin.h"
#include "daemon/supervisor/config/config_cage.h"
#include "daemon/supervisor/admin/reload.h"
#include "daemon/supervisor/view/status.h"
#include "daemon/supervisor/workers/template.h"
#include "proto/plural.h"
#include "proto/timers.h"

#include <errno.h>
#include <stdlib.h>

#define STOP_TIMEOUT_MAX 1e8 /* seconds */

/* ---- about the pools ---- */

int admin_pools(struct request *request)
{
	if (admin_check(request, RIGHT_DESCRIBE, (struct span){0}) < 0)
		return -1;
	status_pack_pools(request->daemon, request->session->client.rights, request->result);
	return 0;
}

int admin_status(struct request *request)
{
	struct pool *pool = NULL;
	const bool one = request->count > 0 && read_nil(&request->args) < 0;

	if (one ? !(pool = admin_pool(request, RIGHT_WATCH)) : admin_check_sight(request, (struct span){0}) < 0)
		return -1;
	direct_take_all_counts(&request->daemon->core);
	status_pack(request->daemon, pool, request->session->client.rights, request->result);
	return 0;
}

/* A pool that sleeps, and was never awake, has not loaded its class: it is woken, as by a call. */
static int begin_loading(struct pool *pool)
{
	return pool->core->draining ? 0 : sizing_on_call(pool);
}

int admin_describe(struct request *request)
{
	struct pool *pool = admin_pool(request, RIGHT_DESCRIBE);
	if (!pool)
		return -1;
	if (status_pack_description(pool, request->result) == 0)
		return 0;
	if (begin_loading(pool) < 0 || !pool_is_available(pool))
		pool_say_unavailable(pool, &request->error);
	else
		error_say(&request->error, ERROR_UNAVAILABLE, RAN_NO, "pool %s has not loaded its class yet", pool->name);
	return -1;
}

/* ---- changing them ---- */

static int answer_later(struct request *request, struct pending_admin *pending)
{
	if (!pending)
		return admin_no_memory(request);
	pending_admin_answer_to(pending, &request->session->client, request->rpc);
	return 1;
}

/* Each slot must have its own of what the configuration gives slots: a worker without would have more than it should. */
static int check_size(struct request *request, const struct pool *pool, uint64_t size)
{
	const struct config_pool *section = &template_of(pool)->section;
	const char *key = config_cage_too_short(section, (uint32_t)size);
	const uint32_t most = config_pool_settings(section).workers_max;

	if (!key)
		return 0;
	error_say(&request->error, ERROR_BAD_ARGUMENT, RAN_NO,
		  "pool %s can't have %llu workers: its %s has an item for each of %u slot%s, and none for more", pool->name,
		  (unsigned long long)size, key, most, plural(most));
	return -1;
}

int admin_scale(struct request *request)
{
	struct pool *pool = admin_pool(request, RIGHT_ADMIN);
	uint64_t n;

	if (!pool)
		return -1;
	if (request->count != 1 || read_whole(&request->args, &n) < 0 || n < 1 || n > CONFIG_WORKERS_MAX)
		return admin_refuse_params(request, "a pool and a number of workers from 1 to 4096");
	if (check_size(request, pool, n) < 0)
		return -1;
	log_pool(LOG_INFO, pool, "scaled from %u to %llu worker%s by session %llu", pool->size, (unsigned long long)n, plural(n),
		 (unsigned long long)request->session->client.id);
	happened(HAPPENED_POOL_CHANGED, &(struct happened_about){.pool = pool, .session = request->session->client.id},
		 "scaled from %u to %llu worker%s", pool->size, (unsigned long long)n, plural(n));
	sizing_fit(&pool->settings, (uint32_t)n);
	template_of(pool)->scaled = (uint32_t)n;
	if (pool_resize(pool, (uint32_t)n) < 0) {
		error_no_memory(&request->error, RAN_MAYBE);
		return -1;
	}
	return answer_later(request, pending_admin_new(request->daemon, pool, PENDING_SETTLE));
}

/* `client` must be a session's: of a nested call, the core asks for the session that led to it (nested_head). */
bool admin_may_stick(const struct client *client, const struct pool *pool)
{
	const struct session *session = container_of(client, const struct session, client);
	const bool is_own = pool && template_of(pool)->creator == client->id;

	return is_own || admin_is_allowed(session, session->daemon->config.admin);
}

int admin_forget(struct request *request)
{
	struct pool *pool = admin_pool(request, RIGHT_ADMIN);
	struct span method = {0};

	if (!pool)
		return -1;
	if (request->count > 0 && read_nil(&request->args) < 0 && (read_text(&request->args, &method) < 0 || method.size == 0))
		return admin_refuse_params(request, "a pool, and optionally a method");
	msgpack_pack_uint32(request->result, sticky_forget(pool, method));
	return 0;
}

int admin_restart(struct request *request)
{
	struct pool *pool = admin_pool(request, RIGHT_ADMIN);
	struct pending_admin *pending;
	uint64_t slot = 0;

	if (!pool)
		return -1;
	const bool one = request->count > 0 && read_nil(&request->args) < 0;
	if (one && (read_whole(&request->args, &slot) < 0))
		return admin_refuse_params(request, "a pool, and optionally a slot");
	if (one && slot >= pool->size) {
		pool_say_no_slot(pool, slot, &request->error);
		return -1;
	}
	pending = pending_admin_new(request->daemon, pool, PENDING_ROLL);
	if (pending) {
		pending->only_one = one;
		pending->slot = (uint32_t)slot;
	}
	return answer_later(request, pending);
}

int admin_pause(struct request *request)
{
	struct pool *pool = admin_pool(request, RIGHT_ADMIN);

	if (!pool)
		return -1;
	const int r = answer_later(request, pending_admin_new(request->daemon, pool, PENDING_PAUSE));
	if (r > 0 && !pool->paused)
		happened(HAPPENED_POOL_PAUSED, &(struct happened_about){.pool = pool, .session = request->session->client.id},
			 "its instances get no more calls");
	if (r > 0)
		pool_pause(pool);
	return r;
}

int admin_resume(struct request *request)
{
	struct pool *pool = admin_pool(request, RIGHT_ADMIN);

	if (!pool)
		return -1;
	(pool->paused ? msgpack_pack_true : msgpack_pack_false)(request->result);
	if (pool->paused)
		happened(HAPPENED_POOL_RESUMED, &(struct happened_about){.pool = pool, .session = request->session->client.id},
			 "its calls go on");
	pool_resume(pool);
	request->daemon->slots_changed = true; /* a request to pause it may wait */
	return 0;
}

/* ---- making and removing them ---- */

static int bad_config(struct request *request, const struct config *config)
{
	error_say(&request->error, ERROR_BAD_ARGUMENT, RAN_NO, "%s", config->reason);
	return -1;
}

/* "session" (the default): the pool goes with this connection; "daemon": it stays. */
static int read_owner(struct request *request, struct reader *value, bool *of_session)
{
	struct span text;

	if (read_text(value, &text) < 0 || (!span_is(text, "session") && !span_is(text, "daemon")))
		return admin_refuse_params(request, "owner as \"session\" or \"daemon\"");
	*of_session = span_is(text, "session");
	return 0;
}

/* "template": the name of an abstract socket, at which a fork of the client's program listens. */
static int read_template(struct request *request, struct reader *value, struct config_pool *section)
{
	struct span text;

	if (read_text(value, &text) < 0 || text.size == 0 || text.size > TEMPLATE_NAME_MAX || memchr(text.bytes, '\0', text.size))
		return admin_refuse_params(request, "template as the name of an abstract socket");
	free(section->offered);
	section->offered = strndup((const char *)text.bytes, text.size);
	return section->offered ? 0 : admin_no_memory(request);
}

/* A path names any code. Where there are no users, it is taken from those who could run code as this daemon anyway. */
static bool may_choose_code(const struct session *session, const char *pool)
{
	if (session->client.rights)
		return rights_allow(session->client.rights, RIGHT_CODE, pool);
	return session_identity_owns_daemon(session);
}

/* What lets a client choose the code that runs, of the keys that it has given. NULL: nothing does. */
static const char *names_code(const struct config_pool *section)
{
	return section->plugin && strchr(section->plugin, '/') ? "a path as plugin"
	       : section->class && strchr(section->class, ':') ? "a class as module:Class"
	       : section->python_path.text                     ? "python_path"
	       : section->python_options.text                  ? "python_options"
	       : section->virtualenv                           ? "virtualenv"
	       : section->preload.text                         ? "preload"
	       : section->offered                              ? "template"
	       : section->unpickle                             ? "unpickle = yes"
	       : section->share                                ? "share = yes"
							       : NULL;
}

/* `what` lets a client choose the code that runs, or how it is confined; NULL: nothing does. */
static int check_code(struct request *request, const struct config_pool *section, const char *what)
{
	const struct rights *rights = request->session->client.rights;
	const struct span name = {.bytes = (const uint8_t *)section->name, .size = strlen(section->name)};

	if (!what || may_choose_code(request->session, section->name))
		return 0;
	if (rights)
		return admin_check(request, RIGHT_CODE, name);
	error_say(&request->error, ERROR_DENIED, RAN_NO,
		  "this connection may name classes of the plugins in plugin_dir, but not choose code: it may not give %s", what);
	return -1;
}

/* Of a cage's keys, the right is judged before the value. */
static int read_key(struct request *request, struct config *config, struct span key, struct span value)
{
	if (check_code(request, &config->pools[0], config_cage_find(key)) < 0)
		return -1;
	return config_set_pool(config, key, value);
}

/* The map's keys: pool, owner, template, and those of a [pool] section. */
static int read_section(struct request *request, struct config *config, bool *of_session)
{
	struct span key, value, name = {0};
	struct reader reader = request->args, look;
	uint32_t n, keys;

	if (request->count != 1 || read_map(&reader, &n) < 0)
		return admin_refuse_params(request, "a map: {pool, plugin, class, ...}");
	request->args = reader;
	for (keys = n; keys > 0; keys--) {
		if (read_text(&reader, &key) < 0)
			return admin_refuse_params(request, "a map with string keys");
		look = reader;
		if (read_value(&reader, &value) < 0 || (span_is(key, "pool") && read_text(&look, &name) < 0))
			return admin_refuse_params(request, "the pool's name as a string");
	}
	if (config_add_pool(config, name, "objpool.create") < 0)
		return bad_config(request, config);
	if (admin_check(request, RIGHT_CREATE, name) < 0)
		return -1;
	/* Who may run any code may send it, too. */
	config->pools[0].unpickle = may_choose_code(request->session, config->pools[0].name);
	for (keys = n; keys > 0; keys--) {
		(void)read_text(&request->args, &key);
		look = request->args;
		(void)read_value(&request->args, &value);
		if (span_is(key, "pool") || value.bytes[0] == 0xc0)
			continue; /* nil: it is not given */
		const int r = span_is(key, "owner")      ? read_owner(request, &look, of_session)
			      : span_is(key, "template") ? read_template(request, &look, &config->pools[0])
							 : read_key(request, config, key, value);
		if (r < 0)
			return config->reason[0] ? bad_config(request, config) : -1;
	}
	if (check_code(request, &config->pools[0], names_code(&config->pools[0])) < 0)
		return -1;
	if (config_check_pool(config, &config->pools[0]) < 0)
		return bad_config(request, config);
	return config->pools[0].offered && config->pools[0].isolation != ISOLATION_PROCESS
		       ? admin_refuse_params(request, "isolation = process where a template is given")
		       : 0;
}

/* Who is no root may have a pool's calls run as itself, and as nobody else. */
static int check_run_as(struct request *request, const struct config_pool *section)
{
	const struct users *users = request->daemon->users;
	const struct rights *rights = request->session->client.rights;
	const char *user = section->run_as;

	if (!user)
		return 0;
	if (rights && (!rights->user || strcmp(rights->user, user) != 0)) {
		error_say(&request->error, ERROR_DENIED, RAN_NO, "user %.64s may not give run_as = %.64s, but only itself",
			  rights->user ? rights->user : "-", user);
		return -1;
	}
	if (users && users_find(users, (struct span){.bytes = (const uint8_t *)user, .size = strlen(user)}))
		return 0;
	error_say(&request->error, ERROR_BAD_ARGUMENT, RAN_NO, "run_as = %.64s: there is no [user %.64s]", user, user);
	return -1;
}

static int may_create(struct request *request, const struct config_pool *section)
{
	struct daemon *daemon = request->daemon;
	const struct span name = {.bytes = (const uint8_t *)section->name, .size = strlen(section->name)};
	const struct pool *pool;
	uint32_t n = 0;

	if (check_run_as(request, section) < 0)
		return -1;
	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		n++;
	if (pool_find(&daemon->core, name))
		error_say(&request->error, ERROR_BAD_ARGUMENT, RAN_NO, "there is a pool %s already", section->name);
	else if (n >= daemon->config.max_pools)
		error_say(&request->error, ERROR_OVERLOADED, RAN_NO,
			  "the daemon has %u pool%s, which is all that max_pools allows", n, plural(n));
	else
		return core_check_lasting(&request->daemon->core, &request->error) < 0 ? -1 : 0;
	return -1;
}

static int create(struct request *request, struct config_pool *section, bool of_session)
{
	const struct client *client = &request->session->client;
	struct pool *pool = reload_start_pool(request->daemon, section, client->id);

	if (!pool)
		return admin_no_memory(request);
	struct template *template = template_of(pool);
	template->created_by_client = true;
	template->creator = of_session ? client->id : 0;
	log_pool(LOG_INFO, pool, "created by session %llu, %s", (unsigned long long)client->id,
		 of_session ? "to go with it" : "to stay");
	return answer_later(request, pending_admin_new(request->daemon, pool, PENDING_CREATE));
}

int admin_create(struct request *request)
{
	struct config config = {0};
	bool of_session = true;
	int r = read_section(request, &config, &of_session);

	if (r == 0) {
		config_pool_charge(&config.pools[0], request->daemon->core.lasting);
		r = may_create(request, &config.pools[0]);
	}
	if (r == 0)
		r = create(request, &config.pools[0], of_session);
	config_free(&config);
	return r;
}

/* What objpool.drop says of stop_timeout; the pool's own, if it says nothing. */
static int read_stop_timeout(struct request *request, const struct pool *pool, uint64_t *stop_timeout)
{
	double seconds;

	*stop_timeout = pool->settings.stop_timeout;
	if (request->count == 0 || read_nil(&request->args) == 0)
		return 0;
	if (read_number(&request->args, &seconds) < 0 || !(seconds >= 0 && seconds <= STOP_TIMEOUT_MAX))
		return admin_refuse_params(request, "a pool, and optionally a number of seconds");
	*stop_timeout = (uint64_t)(seconds * (double)SECOND);
	return 0;
}

int admin_drop(struct request *request)
{
	struct pool *pool = admin_pool(request, RIGHT_CREATE);
	uint64_t stop_timeout;

	if (!pool || read_stop_timeout(request, pool, &stop_timeout) < 0)
		return -1;
	const struct template *template = template_of(pool);
	if (!request->session->client.rights && template->creator != request->session->client.id &&
	    !admin_is_allowed(request->session, request->daemon->config.admin)) {
		error_say(&request->error, ERROR_DENIED, RAN_NO,
			  "this connection may not drop pool %s (see admin in objpoold.conf(5))", pool->name);
		return -1;
	}
	log_pool(LOG_INFO, pool, "dropped by session %llu", (unsigned long long)request->session->client.id);
	struct pending_admin *pending = pending_admin_new(request->daemon, pool, PENDING_DROP);
	const int r = answer_later(request, pending);
	if (r > 0) {
		if (stop_timeout != pool->settings.stop_timeout)
			pool_set_stop_timeout(pool, stop_timeout);
		pool_drop(pool, ERROR_CANCELLED, "its pool was dropped");
	}
	return r;
}
