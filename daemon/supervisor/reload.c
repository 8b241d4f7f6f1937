/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/reload.h"

#include "daemon/core/pool.h"
#include "daemon/supervisor/http.h"
#include "daemon/supervisor/chore.h"
#include "daemon/supervisor/listener.h"
#include "daemon/supervisor/log.h"
#include "daemon/supervisor/systemd.h"
#include "daemon/supervisor/template.h"

#include <errno.h>
#include <stdlib.h>
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

int reload_open_listeners(struct daemon *daemon, const struct config *config, char *fault, size_t fault_size)
{
	const struct listener *last = TAILQ_LAST(&daemon->listeners, listener_list);
	struct listener *listener;
	char text[ADDRESS_TEXT];
	int r = 0;

	TAILQ_FOREACH(listener, &daemon->listeners, link)
		listener->wanted = false;
	for (uint32_t i = 0; i < config->listen_count && r == 0; i++)
		r = listener_open(daemon, config->listen[i].text, fault, fault_size);
	for (uint32_t i = 0; i < daemon->extra_listen_count && r == 0; i++)
		r = listener_open(daemon, daemon->extra_listen[i], fault, fault_size);
	if (r == 0 && config->listen_count + daemon->extra_listen_count == 0 && TAILQ_EMPTY(&daemon->listeners))
		r = listener_open(daemon, default_address(text, sizeof text), fault, fault_size);
	if (r < 0)
		close_newer(daemon, last);
	return r;
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

struct pool *reload_start_pool(struct daemon *daemon, struct config_pool *section)
{
	const struct pool_settings settings = config_pool_settings(section);
	const uint32_t workers = config_pool_workers(section);
	struct template *template = template_new(daemon, section);

	if (!template)
		return NULL;
	struct pool *pool = pool_new(&daemon->core, template->section.name, workers, &settings, template);
	if (!pool) {
		template_free(template);
		return NULL;
	}
	template->pool = pool;
	slowlog_settle(daemon);
	return pool;
}

int reload_start_pools(struct daemon *daemon)
{
	for (uint32_t i = 0; i < daemon->config.pool_count; i++)
		if (!reload_start_pool(daemon, &daemon->config.pools[i])) {
			log_say(LOG_ERR, "out of memory");
			return -1;
		}
	return 0;
}

static void note(char *list, size_t size, const char *name)
{
	const size_t n = strlen(list);
	snprintf(list + n, size - n, "%s ", name);
}

static struct config_pool *find_section(struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->pool_count; i++)
		if (config->pools[i].name && !strcmp(config->pools[i].name, name))
			return &config->pools[i];
	return NULL;
}

/* A pool that is there and shall be there, with the same instances: settings and size. */
static void update_pool(struct pool *pool, struct config_pool *section, struct daemon_report *report)
{
	struct template *template = pool->owner;
	const uint32_t before = config_pool_workers(&template->section), after = config_pool_workers(section);
	const struct config_pool old = template->section;

	const struct pool_settings settings = config_pool_settings(section);

	pool_set(pool, &settings);
	template->section = *section;
	*section = old;
	if (before == after) {
		note(report->unchanged, sizeof report->unchanged, pool->name);
		return;
	}
	note(report->resized, sizeof report->resized, pool->name);
	if (pool_resize(pool, after) < 0)
		log_pool(LOG_ERR, pool, "out of memory: it has %u workers, not %u", pool->size, after);
}

/* Can its instances hand their states to those that the section makes? Then they are replaced one by one, and the pool stays. */
static bool can_hand_over(const struct pool *pool, const struct config_pool *section)
{
	const struct template *template = pool->owner;
	return template->section.isolation == ISOLATION_PROCESS &&
	       section->isolation == ISOLATION_PROCESS && !strcmp(template->section.class, section->class);
}

static int hand_over(struct daemon *daemon, struct pool *pool, struct config_pool *section)
{
	const struct pool_settings settings = config_pool_settings(section);
	const uint32_t workers = config_pool_workers(section);
	struct template *next = template_new(daemon, section);

	if (!next)
		return -ENOMEM;
	template_succeed(pool->owner, next);
	pool_set(pool, &settings);
	if (pool_resize(pool, workers) < 0)
		log_pool(LOG_ERR, pool, "out of memory: it has %u workers, not %u", pool->size, workers);
	chore_restart_pool(daemon, pool);
	return 0;
}

/* The pools that are there: kept, resized, replaced or stopped. What is left in the configuration is new. */
static void update_pools(struct daemon *daemon, struct config *config, struct daemon_report *report)
{
	struct pool *pool, *next;

	for (pool = TAILQ_FIRST(&daemon->core.pools); pool; pool = next) {
		next = TAILQ_NEXT(pool, link);
		const struct template *template = pool->owner;
		struct config_pool *section = pool->leaving || template->made ? NULL : find_section(config, pool->name);
		if (pool->leaving || template->made)
			continue;
		if (section && config_pool_same_instances(&template->section, section)) {
			update_pool(pool, section, report);
			config_pool_free(section);
			continue;
		}
		if (section && can_hand_over(pool, section) && hand_over(daemon, pool, section) == 0) {
			note(report->replaced, sizeof report->replaced, pool->name);
			continue;
		}
		if (section)
			note(report->replaced, sizeof report->replaced, pool->name);
		else
			note(report->stopped, sizeof report->stopped, pool->name);
		pool_leave(pool);
	}
}

static bool is_replaced(const struct daemon_report *report, const char *name)
{
	char word[256];
	const int n = snprintf(word, sizeof word, "%s ", name);
	const char *at = report->replaced;
	while ((at = strstr(at, word))) {
		if (at == report->replaced || at[-1] == ' ')
			return true;
		at += n;
	}
	return false;
}

static void start_new(struct daemon *daemon, struct config *config, struct daemon_report *report)
{
	for (uint32_t i = 0; i < config->pool_count; i++) {
		struct config_pool *section = &config->pools[i];
		if (!section->name)
			continue;
		if (!is_replaced(report, section->name))
			note(report->started, sizeof report->started, section->name);
		if (pool_find(&daemon->core, (struct span){.bytes = (const uint8_t *)section->name, .size = strlen(section->name)}))
			log_say(LOG_ERR, "pool %s is not started: a client has made one of that name", section->name);
		else if (!reload_start_pool(daemon, section))
			log_say(LOG_ERR, "out of memory: a pool is not started");
	}
}

/* ---- the whole ---- */

/* All addresses, or none. */
static int open_addresses(struct daemon *daemon, const struct config *config, struct http **http, struct daemon_report *report)
{
	if (http_open(daemon, config, http, report->fault, sizeof report->fault) < 0)
		return -1;
	if (reload_open_listeners(daemon, config, report->fault, sizeof report->fault) == 0)
		return 0;
	if (*http != daemon->http)
		(void)http_close(*http);
	return -1;
}

static int read_config(struct daemon *daemon, struct config *config, struct http **http, struct daemon_report *report)
{
	if (!daemon->config_path) {
		snprintf(report->fault, sizeof report->fault, "the daemon was started without a configuration file");
		return -1;
	}
	if (config_load(config, daemon->config_path) < 0 || config_check(config) < 0) {
		snprintf(report->fault, sizeof report->fault, "%s", config->fault);
		return -1;
	}
	return open_addresses(daemon, config, http, report);
}

static void take_over(struct daemon *daemon, struct config *config, struct daemon_report *report)
{
	const struct config old = daemon->config;

	log_set_levels((struct log_levels){.own = config->log_level, .workers = config->worker_log_level});
	daemon->config = *config;
	*config = old;
	daemon_set_limits(daemon);
	settle_listeners(daemon);
	update_pools(daemon, &daemon->config, report);
	start_new(daemon, &daemon->config, report);
	slowlog_on_reload(daemon);
}

int daemon_reload(struct daemon *daemon, struct daemon_report *report)
{
	struct config config = {0};
	struct http *http = NULL;
	int r;

	*report = (struct daemon_report){0};
	if (daemon->state != DAEMON_RUNNING) {
		snprintf(report->fault, sizeof report->fault, "the daemon is stopping");
		return -1;
	}
	systemd_reloading();
	r = read_config(daemon, &config, &http, report);
	if (r == 0) {
		http_use(daemon, http);
		take_over(daemon, &config, report);
		log_say(LOG_NOTICE, "configuration reloaded; started: %s resized: %s replaced: %s stopped: %s unchanged: %s", report->started,
			report->resized, report->replaced, report->stopped, report->unchanged);
	} else {
		log_say(LOG_ERR, "configuration not reloaded, nothing has changed: %s", report->fault);
	}
	config_free(&config);
	systemd_ready(daemon);
	return r;
}
