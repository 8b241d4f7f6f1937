/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/admin/reload.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/life/pause.h"
#include "daemon/core/life/pool_life.h"
#include "daemon/core/life/sizing.h"
#include "daemon/supervisor/cluster/cluster.h"
#include "daemon/supervisor/http/http.h"
#include "daemon/supervisor/connections/listener.h"
#include "daemon/supervisor/connections/session_identity.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/connections/memory.h"
#include "daemon/supervisor/admin/rollout.h"
#include "daemon/supervisor/transport/tls_context.h"
#include "daemon/supervisor/workers/slowlog.h"
#include "daemon/supervisor/view/systemd.h"
#include "daemon/supervisor/workers/template_life.h"
#include "proto/plural.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- listeners ---- */

static const char *default_address(char *text, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	if (runtime && geteuid() != 0)
		snprintf(text, size, "unix:%s/objpool.sock", runtime);
	else
		snprintf(text, size, "unix:/run/objpool/objpool.sock");
	return text;
}

/* Those that were opened on the way to a failure. */
static void close_newer(struct daemon *daemon, const struct listener *last)
{
	struct listener *listener;
	while ((listener = TAILQ_LAST(&daemon->listeners, listener_list)) && listener != last)
		listener_close(listener);
}

/* `place` says where the address was given. */
static int open_address(struct daemon *daemon, const struct config *config, const char *place, const char *text, char *reason,
			size_t reason_size)
{
	char cause[384];

	if (listener_open(daemon, config, text, cause, sizeof cause) == 0)
		return 0;
	snprintf(reason, reason_size, "%s: listen = %s: %s", place, text, address_cause(text, cause));
	return -1;
}

int reload_open_listeners(struct daemon *daemon, const struct config *config, char *reason, size_t reason_size)
{
	const struct listener *last = TAILQ_LAST(&daemon->listeners, listener_list);
	struct listener *listener;
	char text[ADDRESS_TEXT];
	int r = 0;

	TAILQ_FOREACH(listener, &daemon->listeners, link) {
		listener->wanted = false;
		listener->wants_tls = listener->bound.tls; /* a reload that failed may have left something else */
	}
	for (uint32_t i = 0; i < config->listen_count && r == 0; i++)
		r = open_address(daemon, config, config->listen[i].place, config->listen[i].text, reason, reason_size);
	for (uint32_t i = 0; i < daemon->extra_listen_count && r == 0; i++)
		r = open_address(daemon, config, "--listen", daemon->extra_listen[i], reason, reason_size);
	if (r == 0 && config->listen_count + daemon->extra_listen_count == 0 && TAILQ_EMPTY(&daemon->listeners))
		r = listener_open(daemon, config, default_address(text, sizeof text), reason, reason_size);
	if (r < 0)
		close_newer(daemon, last);
	return r;
}

static bool has_same_rights(const struct config *a, const struct config *b)
{
	const char *group = a->socket_group ? a->socket_group : "", *other = b->socket_group ? b->socket_group : "";
	return a->socket_mode == b->socket_mode && strcmp(group, other) == 0;
}

/* Those of sockets that the daemon had made before the reload. */
static void settle_rights(const struct daemon *daemon)
{
	const struct listener *listener;

	TAILQ_FOREACH(listener, &daemon->listeners, link)
		socketfile_settle_rights(&listener->file, &daemon->config, &listener->bound);
	if (daemon->http)
		http_settle_rights(daemon->http);
}

/* Starts the new ones, closes those that the configuration doesn't name any more; what systemd passed stays. */
static void settle_listeners(struct daemon *daemon)
{
	struct listener *listener, *next;

	for (listener = TAILQ_FIRST(&daemon->listeners); listener; listener = next) {
		next = TAILQ_NEXT(listener, link);
		if (!listener->wanted && !listener->passed && daemon->config.listen_count + daemon->extra_listen_count > 0)
			listener_close(listener);
		else
			listener_start(listener);
	}
}

/* ---- pools ---- */

/* Constructors, hooks and sticky calls that are replayed make no calls, so nothing has these rights. */
static void warn_of_run_as(const struct pool *pool)
{
	const char *user = template_of(pool)->section.run_as;

	if (user)
		log_pool(LOG_WARNING, pool,
			 "run_as = %s has no effect: only methods make calls, and these have the rights of their callers", user);
}

/* `session`: who has asked for it; 0: the configuration. */
static struct pool *start_pool(struct daemon *daemon, struct config_pool *section, uint32_t scaled, uint64_t session)
{
	struct pool_settings settings = config_pool_settings(section);
	uint32_t workers = config_pool_workers(section);
	struct template *template = template_new(daemon, section);

	if (!template)
		return NULL;
	if (scaled) {
		sizing_fit(&settings, scaled);
		workers = scaled;
	}
	template->scaled = scaled;
	struct pool *pool = pool_new(&daemon->core, template->section.name, workers, &settings, template);
	if (!pool) {
		template_free(template);
		return NULL;
	}
	template->pool = pool;
	happened(HAPPENED_POOL_CREATED, &(struct happened_about){.pool = pool, .session = session}, "%u worker%s with %s of %s",
		 workers, plural(workers), template->section.class, template->section.plugin);
	warn_of_run_as(pool);
	slowlog_settle(daemon);
	return pool;
}

struct pool *reload_start_pool(struct daemon *daemon, struct config_pool *section, uint64_t session)
{
	return start_pool(daemon, section, 0, session);
}

int reload_start_pools(struct daemon *daemon)
{
	for (uint32_t i = 0; i < daemon->config.pool_count; i++)
		if (!reload_start_pool(daemon, &daemon->config.pools[i], 0)) {
			log_say(LOG_ERR, "out of memory");
			return -1;
		}
	return 0;
}

static struct config_pool *find_section(struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->pool_count; i++)
		if (config->pools[i].name && !strcmp(config->pools[i].name, name))
			return &config->pools[i];
	return NULL;
}

/* The workers that objpool.scale has set, if the pool keeps them; 0: it has the size that the section says. */
static uint32_t size_kept(const struct template *template, const struct config_pool *section)
{
	return config_pool_keeps_size(&template->section, section, template->scaled) ? template->scaled : 0;
}

static void say_size(struct change *change, uint32_t kept, uint32_t workers)
{
	if (kept && kept != workers)
		change_keeps_size(change, kept, workers);
}

/* Gives the pool another section that makes the same instances: settings and size. True: the size changes. */
static bool update_section(struct pool *pool, struct config_pool *section)
{
	struct template *template = template_of(pool);
	const struct config_pool before = template->section;

	template->section = *section;
	*section = before;
	pool->settings.start_timeout = template->section.start_timeout;
	return !template->before && rollout_set_size(pool, section, &template->section); /* else its rollout does that */
}

static void update_pool(struct pool *pool, struct config_pool *section, struct changes *changes)
{
	struct template *template = template_of(pool);
	const uint32_t kept = size_kept(template, section);
	const bool resized = update_section(pool, section);

	template->reason[0] = '\0';
	say_size(change_add(changes, resized ? CHANGE_RESIZED : CHANGE_UNCHANGED, pool->name), kept,
		 config_pool_workers(&template->section));
}

static bool is_forked(const struct config_pool *section)
{
	return section->isolation == ISOLATION_PROCESS;
}

/* Can its instances hand their states to those that the section makes? Then they are replaced one by one, and the pool stays. */
static bool can_hand_over(const struct pool *pool, const struct config_pool *section)
{
	const struct template *template = template_of(pool);
	return is_forked(&template->section) && is_forked(section) && !strcmp(template->section.class, section->class);
}

static bool hand_over(struct daemon *daemon, struct pool *pool, struct config_pool *section, struct changes *changes)
{
	const uint32_t kept = size_kept(template_of(pool), section), workers = config_pool_workers(section);
	struct template *next = template_new(daemon, section);

	if (!next)
		return false;
	template_succeed(template_of(pool), next);
	struct change *change = change_add(changes, CHANGE_RESTARTED, pool->name);
	say_size(change, kept, workers);
	rollout_begin(daemon, pool, change);
	return true;
}

/* Has the pool's plugin loaded by a new process for the instances that are built from now on. */
static void load_anew(struct daemon *daemon, struct pool *pool)
{
	struct template *template = template_of(pool);
	const uint64_t version = template->version;
	struct template *next = template_new(daemon, &template->section);

	if (!next)
		return; /* out of memory: the process that is there is tried once more */
	next->version = version;
	template_succeed(template, next);
	template_commit(next);
}

/* The section makes the same instances, but not all are what it says: tries again. */
static void try_again(struct daemon *daemon, struct pool *pool, struct config_pool *section, struct changes *changes)
{
	const struct template *template = template_of(pool);
	const uint32_t kept = size_kept(template, section), workers = config_pool_workers(section);
	struct change *change = change_add(changes, CHANGE_RESTARTED, pool->name);

	say_size(change, kept, workers);
	(void)update_section(pool, section);
	if (!template->before && is_forked(&template->section))
		load_anew(daemon, pool);
	rollout_begin(daemon, pool, change);
}

/* The pool goes, and its section makes another. */
static void replace(struct daemon *daemon, struct pool *pool, struct config_pool *section, struct changes *changes)
{
	struct change *change = change_add(changes, CHANGE_RESTARTED, pool->name);
	const uint32_t kept = size_kept(template_of(pool), section);
	const bool paused = pool->paused;

	say_size(change, kept, config_pool_workers(section));
	pool_leave(pool);
	struct pool *next = start_pool(daemon, section, kept, 0);
	if (next && paused)
		pool_pause(next);
	change_open(change);
	if (next)
		rollout_begin(daemon, next, change);
	change_close(change, next ? NULL : NO_MEMORY "; no instance serves");
}

static void reload_pool(struct daemon *daemon, struct pool *pool, struct config_pool *section, struct changes *changes)
{
	const struct template *template = template_of(pool);

	if (!config_pool_same_instances(&template->section, section)) {
		if (!can_hand_over(pool, section) || !hand_over(daemon, pool, section, changes))
			replace(daemon, pool, section, changes);
	} else if (rollout_is_wanted(pool)) {
		try_again(daemon, pool, section, changes);
	} else {
		update_pool(pool, section, changes);
	}
	config_pool_free(section);
}

/* The pools that are there: kept, resized, replaced or stopped. What is left in the configuration is new. */
static void update_pools(struct daemon *daemon, struct config *config, struct changes *changes)
{
	struct pool *pool, *next, *last = TAILQ_LAST(&daemon->core.pools, pool_list);

	for (pool = TAILQ_FIRST(&daemon->core.pools); pool; pool = next) {
		next = pool == last ? NULL : TAILQ_NEXT(pool, link); /* those that follow have been made here */
		const struct template *template = template_of(pool);
		if (pool->leaving || template->created_by_client)
			continue;
		struct config_pool *section = find_section(config, pool->name);
		if (section) {
			reload_pool(daemon, pool, section, changes);
		} else {
			(void)change_add(changes, CHANGE_STOPPED, pool->name);
			pool_leave(pool);
		}
	}
}

static void start_new(struct daemon *daemon, struct config_pool *section, struct changes *changes)
{
	const struct span name = {.bytes = (const uint8_t *)section->name, .size = strlen(section->name)};
	struct change *change = change_add(changes, CHANGE_STARTED, section->name);
	struct pool *pool = NULL;
	const char *reason = NULL;

	change_open(change);
	if (pool_find(&daemon->core, name))
		reason = "a client has made a pool of that name";
	else if (!(pool = reload_start_pool(daemon, section, 0)))
		reason = NO_MEMORY;
	else
		rollout_begin(daemon, pool, change);
	change_close(change, reason);
}

static void start_all_new(struct daemon *daemon, struct config *config, struct changes *changes)
{
	for (uint32_t i = 0; i < config->pool_count; i++)
		if (config->pools[i].name)
			start_new(daemon, &config->pools[i], changes);
}

/* ---- the whole ---- */

/* All addresses, or none. */
static int open_addresses(struct daemon *daemon, const struct config *config, struct http **http, char reason[RELOAD_REASON])
{
	if (http_open(daemon, config, http, reason, RELOAD_REASON) < 0)
		return -1;
	if (reload_open_listeners(daemon, config, reason, RELOAD_REASON) == 0)
		return 0;
	if (*http != daemon->http)
		(void)http_close(*http);
	return -1;
}

/* The users of the configuration, and who all clients are by them. The last step that can fail. 0 or -1. */
static int prepare_users(struct daemon *daemon, const struct config *config, struct users **users, char reason[RELOAD_REASON])
{
	if (users_make(config, &daemon->core, users) == 0) {
		if (session_identity_prepare(daemon, *users) == 0)
			return 0;
		users_free(*users);
	}
	snprintf(reason, RELOAD_REASON, NO_MEMORY);
	return -1;
}

/* What a reload makes before anything changes. */
struct fresh {
	struct config config;
	struct tls_context *tls;
	struct users *users;
	struct http *http;
};

static int read_config(struct daemon *daemon, struct fresh *fresh, char reason[RELOAD_REASON])
{
	struct config *config = &fresh->config;

	if (!daemon->config_path) {
		snprintf(reason, RELOAD_REASON, "the daemon was started without a configuration file");
		return -1;
	}
	if (config_load(config, daemon->config_path) < 0 || config_check(config) < 0) {
		snprintf(reason, RELOAD_REASON, "%s", config->reason);
		return -1;
	}
	if (tls_context_load(&fresh->tls, config, false, reason, RELOAD_REASON) < 0 ||
	    prepare_users(daemon, config, &fresh->users, reason) < 0)
		return -1;
	if (open_addresses(daemon, config, &fresh->http, reason) == 0)
		return 0;
	users_free(fresh->users);
	return -1;
}

/* The new configuration gets the old text, and the old the new. */
static void keep(const char *key, char **old, char **new)
{
	char *text = *new;

	if (strcmp(*old ? *old : "", text ? text : "") != 0)
		log_say(LOG_WARNING, "%s stays as it was when the daemon was started: it has to be restarted", key);
	*new = *old;
	*old = text;
}

/* What the daemon does once, when it starts. */
static void keep_fixed(struct config *old, struct config *new)
{
	keep("user", &old->user, &new->user);
	keep("group", &old->group, &new->group);
	keep("pid_file", &old->pid_file, &new->pid_file);
	keep("log_file", &old->log_file, &new->log_file);
}

/* `fresh` is left with the configuration and the certificates that were there before. */
static void take_over(struct daemon *daemon, struct fresh *fresh, struct changes *changes)
{
	struct config *config = &fresh->config;
	const struct config old = daemon->config;
	struct tls_context *old_tls = daemon->tls;

	log_set_levels((struct log_levels){.own = config->log_level, .workers = config->worker_log_level});
	daemon_set_trace(daemon);
	log_say(LOG_NOTICE, "configuration reloaded");
	happened(HAPPENED_CONFIG_RELOADED, NULL, "%s was read", daemon->config_path);
	daemon->config = *config;
	*config = old;
	keep_fixed(config, &daemon->config);
	session_identity_change(daemon, fresh->users);
	daemon->tls = fresh->tls;
	fresh->tls = old_tls;
	http_use(daemon, fresh->http);
	http_settle_viewers(daemon->http);
	memory_set_limits(daemon);
	settle_listeners(daemon);
	if (!has_same_rights(&daemon->config, config))
		settle_rights(daemon);
	cluster_warn(daemon);
	update_pools(daemon, &daemon->config, changes);
	start_all_new(daemon, &daemon->config, changes);
	slowlog_on_reload(daemon);
	(void)cluster_settle(daemon); /* the log tells of a failure */
}

static struct changes *reload_now(struct daemon *daemon, char reason[RELOAD_REASON])
{
	struct changes *changes = changes_new();
	struct fresh fresh = {0};

	if (!changes)
		snprintf(reason, RELOAD_REASON, NO_MEMORY);
	if (changes && read_config(daemon, &fresh, reason) == 0) {
		take_over(daemon, &fresh, changes);
	} else {
		log_say(LOG_ERR, "configuration not reloaded, nothing has changed: %s", reason);
		happened(HAPPENED_CONFIG_REFUSED, NULL, "nothing has changed: %s", reason);
		if (changes)
			changes_release(changes);
		changes = NULL;
	}
	config_free(&fresh.config);
	(void)tls_context_free(fresh.tls);
	return changes;
}

/* core.now is when it has begun. */
static void count(struct daemon *daemon, bool done)
{
	struct config_readings *readings = &daemon->readings;
	const uint64_t began = daemon->core.now;

	daemon_tick(daemon);
	readings->took = daemon->core.now - began;
	readings->reloads++;
	readings->failed += !done;
	readings->last_failed = !done;
	if (done)
		readings->succeeded = time(NULL);
}

struct changes *reload(struct daemon *daemon, char reason[RELOAD_REASON])
{
	if (daemon->state != DAEMON_RUNNING) {
		snprintf(reason, RELOAD_REASON, "the daemon is stopping");
		return NULL;
	}
	systemd_reloading();
	struct changes *changes = reload_now(daemon, reason);
	count(daemon, changes != NULL);
	systemd_ready(daemon);
	return changes;
}

/* ---- a pool's code ---- */

/* NULL: it can be replaced. */
static const char *why_not(const struct template *template)
{
	if (template->section.offered)
		return "its template is a process of the program that has made it";
	if (!is_forked(&template->section))
		return "its instances are threads of one process, and can't be replaced one by one: drop it and make it anew";
	return template->daemon->state == DAEMON_RUNNING ? NULL : "the daemon is stopping";
}

static struct changes *replace_template(struct daemon *daemon, struct pool *pool)
{
	struct config_pool section = {0};
	struct changes *changes = changes_new();
	struct template *next = NULL;

	if (changes && config_pool_copy(&section, &template_of(pool)->section) == 0)
		next = template_new(daemon, &section);
	config_pool_free(&section);
	if (next) {
		template_succeed(template_of(pool), next);
		rollout_begin(daemon, pool, change_add(changes, CHANGE_RESTARTED, pool->name));
		return changes;
	}
	if (changes)
		changes_release(changes);
	return NULL;
}

struct changes *reload_code(struct daemon *daemon, struct pool *pool, char reason[RELOAD_REASON])
{
	const char *fault = why_not(template_of(pool));
	struct changes *changes = fault ? NULL : replace_template(daemon, pool);

	if (!changes)
		snprintf(reason, RELOAD_REASON, "pool %s: %s", pool->name, fault ? fault : NO_MEMORY);
	return changes;
}
