/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/view/status.h"

#include "daemon/core/calls/direct.h"
#include "daemon/core/calls/lease.h"
#include "daemon/core/records/methods.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/dispatch/sticky.h"
#include "daemon/supervisor/connections/listener.h"
#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/view/cluster_view.h"
#include "daemon/supervisor/view/remote_pools.h"
#include "daemon/supervisor/users/users.h"
#include "daemon/supervisor/workers/template.h"
#include "daemon/supervisor/workers/worker.h"
#include "daemon/supervisor/workers/worker_maker.h"
#include "proto/escape.h"

#include <unistd.h>

static uint32_t ready_slots(const struct pool *pool)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < pool->size; i++)
		n += pool->slots[i]->state == SLOT_READY;
	return n;
}

static const char *pool_state(const struct pool *pool)
{
	const uint32_t ready = ready_slots(pool);
	if (pool->leaving)
		return "leaving";
	if (pool->paused)
		return "paused";
	if (pool->size == 0)
		return "asleep";
	if (ready == pool->size)
		return "ready";
	if (!pool_is_available(pool))
		return "unavailable";
	return pool->broken > 0 ? "degraded" : "starting";
}

/* Batches in the worker's hands; of a train each call that has no answer. */
static uint32_t calls_in_hand(const struct slot *slot)
{
	const struct batch *batch;
	uint32_t n = 0;

	TAILQ_FOREACH(batch, &slot->handed, link)
		n += batch->call->train ? batch->count - batch->done : 1;
	return n;
}

uint32_t status_running_batches(const struct pool *pool)
{
	char room[DIRECT_NAME];
	uint64_t since, session;
	uint32_t n = 0;

	for (uint32_t i = 0; i < pool->size; i++)
		n += calls_in_hand(pool->slots[i]) + direct_running(pool->slots[i], room, sizeof room, &since, &session);
	return n;
}

uint32_t status_direct(const struct pool *pool)
{
	const struct slot *slot;
	uint32_t n = 0;

	SLOT_FOREACH(slot, pool)
		n += slot->directs_count;
	return n;
}

void status_pack_head(const struct pool *pool, msgpack_packer *packer)
{
	const struct template *template = template_of(pool);
	const struct config_pool *serves = template->before ? &template->before->section : &template->section;

	pair_text(packer, "name", pool->name);
	pair_text(packer, "plugin", serves->plugin);
	pair_text(packer, "class", serves->class);
	pair_number(packer, "workers", pool->size);
	pair_number(packer, "ready", ready_slots(pool));
	pair_text(packer, "state", pool_state(pool));
	pair_number(packer, "queue", pool->waiting);
	pair_flag(packer, "paused", pool->paused);
	pair_text(packer, "error", template->reason[0] ? template->reason : pool->reason);
}

static bool is_described(const struct pool *pool, const struct rights *rights)
{
	return !pool->leaving && rights_allow(rights, RIGHT_DESCRIBE, pool->name);
}

static uint32_t count_described(const struct daemon *daemon, const struct rights *rights)
{
	const struct pool *pool;
	uint32_t n = 0;
	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		n += is_described(pool, rights);
	return n;
}

void status_pack_pools(const struct daemon *daemon, const struct rights *rights, msgpack_packer *packer)
{
	const struct pool *pool;

	msgpack_pack_array(packer, count_described(daemon, rights) + remote_pools_count(daemon, rights));
	TAILQ_FOREACH(pool, &daemon->core.pools, link) {
		if (!is_described(pool, rights))
			continue;
		msgpack_pack_map(packer, STATUS_HEAD_KEYS);
		status_pack_head(pool, packer);
	}
	remote_pools_pack(daemon, rights, packer);
}

void status_pack_pool_names(const struct daemon *daemon, const struct rights *rights, msgpack_packer *packer)
{
	const struct pool *pool;

	msgpack_pack_array(packer, count_described(daemon, rights) + remote_pools_count(daemon, rights));
	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		if (is_described(pool, rights))
			pack_text(packer, pool->name);
	remote_pools_pack_names(daemon, rights, packer);
}

const char *status_running(const struct slot *slot, uint64_t now, uint64_t *since, char room[DIRECT_NAME])
{
	const struct batch *batch = TAILQ_FIRST(&slot->handed);
	uint64_t began = slot->board ? atomic_load(&slot->board->since) : 0, session;

	if (direct_running(slot, room, DIRECT_NAME, &began, &session)) {
		*since = now > began ? now - began : 0;
		return room;
	}

	if (!batch || !began || board_state(slot->board, batch->id) == BOARD_HANDED)
		return NULL;
	*since = now > began ? now - began : 0;
	return batch->call->method ? batch->call->method->name : NULL;
}

const char *status_slot_state(const struct slot *slot)
{
	return slot->state == SLOT_WAITING && slot->broken ? "failed" : slot_state_name(slot->state);
}

static void pack_slot(const struct slot *slot, uint64_t now, msgpack_packer *packer)
{
	char room[DIRECT_NAME];
	uint64_t since = 0;
	const char *method = status_running(slot, now, &since, room);
	const struct procfs process = worker_usage(slot);

	msgpack_pack_map(packer, 18);
	pair_number(packer, "slot", slot->index);
	pair_text(packer, "state", status_slot_state(slot));
	pair_number(packer, "generation", slot->generation);
	pair_number(packer, "pid", (uint64_t)slot->pid);
	pair_seconds(packer, "since_s", now - slot->since);
	pair_number(packer, "calls", slot->calls);
	pair_number(packer, "failures", slot->failed);
	pair_number(packer, "lost", slot->lost);
	pair_number(packer, "restarts", slot->restarts);
	const uint32_t in_hand = calls_in_hand(slot);
	pair_number(packer, "queue", slot->queue.count + (in_hand > 0 ? in_hand - 1 : 0));
	pair_number(packer, "deferred", slot->by_tag.count + direct_put_off(slot));
	pair_number(packer, "direct", slot->directs_count);
	pack_text(packer, "leased");
	if (slot->leased)
		msgpack_pack_uint64(packer, slot->leased->session);
	else
		msgpack_pack_nil(packer);
	pack_text(packer, "running");
	if (method)
		pack_text(packer, method);
	else
		msgpack_pack_nil(packer);
	pair_seconds(packer, "running_s", since);
	pair_number(packer, "rss", process.rss);
	pack_text(packer, "cpu_s");
	msgpack_pack_double(packer, process.cpu_s);
	pair_text(packer, "last_failure", slot->last_failure);
}

/* Three keys. */
static void pack_latency(const struct histogram *calls, msgpack_packer *packer)
{
	pair_seconds(packer, "p50_s", histogram_quantile(calls, 0.5));
	pair_seconds(packer, "p99_s", histogram_quantile(calls, 0.99));
	pair_seconds(packer, "max_s", calls->most);
}

static uint32_t count_measures(const struct pool *pool)
{
	const char *name;
	uint32_t at = 0, n = 0;

	while (methods_next_measure(&pool->methods, &at, &name))
		n++;
	return n;
}

static void pack_measures(const struct pool *pool, msgpack_packer *packer)
{
	const struct measure *measure;
	struct histogram all;
	const char *name;
	uint32_t at = 0;

	methods_all_calls(&pool->methods, &all);
	pack_text(packer, "latency");
	msgpack_pack_map(packer, 3);
	pack_latency(&all, packer);
	pack_text(packer, "methods");
	msgpack_pack_map(packer, count_measures(pool));
	while ((measure = methods_next_measure(&pool->methods, &at, &name))) {
		pack_text(packer, name);
		msgpack_pack_map(packer, 5);
		pair_number(packer, "calls", measure->calls.count);
		pair_number(packer, "failures", measure->failures);
		pack_latency(&measure->calls, packer);
	}
}

enum { STICKY_SHOWN = 1000 };

/* What it remembers: one entry per call, of the first. */
static void pack_sticky(const struct pool *pool, msgpack_packer *packer)
{
	static const char *const modes[] = {"no", "replace", "append"}; /* as enum sticky_mode */
	const uint32_t count = pool->stickies.count < STICKY_SHOWN ? pool->stickies.count : STICKY_SHOWN;
	const struct sticky *sticky = TAILQ_FIRST(&pool->stickies.list);

	pack_text(packer, "sticky");
	msgpack_pack_array(packer, count);
	for (uint32_t i = 0; i < count; i++, sticky = TAILQ_NEXT(sticky, link)) {
		msgpack_pack_map(packer, 3);
		pack_text(packer, "method");
		msgpack_pack_str(packer, sticky->name.size);
		msgpack_pack_str_body(packer, sticky->name.bytes, sticky->name.size);
		pair_text(packer, "mode", modes[sticky->mode]);
		pair_number(packer, "bytes", sticky->bytes->capacity);
	}
}

static void pack_template(const struct pool *pool, msgpack_packer *packer)
{
	static const char *const states[] = {"none", "loading", "ready"}; /* as enum template_state */
	struct template *template = template_of(pool);
	const uint64_t now = pool->core->now;
	const struct procfs process = template_usage(template);

	pack_text(packer, "template");
	msgpack_pack_map(packer, 10);
	pair_text(packer, "kind", template->maker->name);
	pair_text(packer, "state", states[template->state]);
	pair_number(packer, "generation", template->generation);
	pair_number(packer, "pid", (uint64_t)template->pid);
	pair_seconds(packer, "since_s", now - template->since);
	pair_number(packer, "rss", process.rss);
	pack_text(packer, "cpu_s");
	msgpack_pack_double(packer, process.cpu_s);
	pair_number(packer, "loads", template->loads.started);
	pair_number(packer, "failed_loads", template->loads.failed);
	pair_seconds(packer, "load_s", template->loads.took);
}

static void pack_pool(const struct pool *pool, msgpack_packer *packer)
{
	uint64_t restarts = 0;

	for (uint32_t i = 0; i < pool->size; i++)
		restarts += pool->slots[i]->restarts;
	msgpack_pack_map(packer, STATUS_HEAD_KEYS + 14);
	status_pack_head(pool, packer);
	pair_number(packer, "workers_min", pool->settings.workers_min);
	pair_number(packer, "workers_max", pool->settings.workers_max);
	pair_number(packer, "leases_waiting", pool->leases_waiting);
	pack_sticky(pool, packer);
	pair_number(packer, "running", status_running_batches(pool));
	pair_number(packer, "calls", pool->counts.calls);
	pair_number(packer, "failures", pool->counts.failures);
	pair_number(packer, "lost", pool->counts.lost);
	pair_number(packer, "rejected", pool->counts.rejected);
	pair_number(packer, "restarts", restarts);
	pack_measures(pool, packer);
	pack_template(pool, packer);
	pack_text(packer, "slots");
	msgpack_pack_array(packer, pool->size);
	for (uint32_t i = 0; i < pool->size; i++)
		pack_slot(pool->slots[i], pool->core->now, packer);
}

/* The memory that max_memory bounds. */
static void pack_memory(const struct core *core, msgpack_packer *packer)
{
	pack_text(packer, "memory");
	msgpack_pack_map(packer, 3);
	pair_number(packer, "used", core->memory.used);
	pair_number(packer, "max", core->memory.limit);
	pair_number(packer, "refused", core->memory_refused);
}

static void pack_listeners(const struct daemon *daemon, msgpack_packer *packer)
{
	const struct listener *listener;
	char text[ADDRESS_TEXT];
	uint32_t n = 0;

	TAILQ_FOREACH(listener, &daemon->listeners, link)
		n++;
	pack_text(packer, "listen");
	msgpack_pack_array(packer, n);
	TAILQ_FOREACH(listener, &daemon->listeners, link) {
		address_format(&listener->bound, text, sizeof text);
		pack_text(packer, text);
	}
}

static bool is_seen(const struct pool *pool, const struct pool *only, const struct rights *rights)
{
	return !pool->leaving && (!only || pool == only) && rights_may_see(rights, pool->name);
}

static uint32_t count_seen(const struct daemon *daemon, const struct pool *only, const struct rights *rights)
{
	const struct pool *pool;
	uint32_t n = 0;

	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		n += is_seen(pool, only, rights);
	return n;
}

static void pack_user(const struct user_state *user, msgpack_packer *packer)
{
	msgpack_pack_map(packer, 10);
	pair_text(packer, "name", user->name);
	pair_number(packer, "sessions", user->sessions);
	pair_number(packer, "inflight", user->inflight);
	pair_number(packer, "lingering", user->lingering);
	pair_number(packer, "leases", user->leases);
	pair_number(packer, "direct", user->directs);
	pair_number(packer, "memory", user->memory);
	pair_number(packer, "calls", user->calls);
	pair_number(packer, "denied", user->denied);
	pair_number(packer, "overloaded", user->overloaded);
}

static void pack_users(const struct users *users, msgpack_packer *packer)
{
	pack_text(packer, "users");
	msgpack_pack_array(packer, users_count(users));
	for (uint32_t i = 0; i < users_count(users); i++) {
		const struct user_state user = users_state(users, i);
		pack_user(&user, packer);
	}
}

/* Five keys, which tell of others than one's own pools. */
static void pack_whole(const struct daemon *daemon, msgpack_packer *packer)
{
	pair_number(packer, "sessions", daemon->session_count);
	pair_number(packer, "late", daemon->core.late);
	pack_memory(&daemon->core, packer);
	pack_listeners(daemon, packer);
	pack_users(daemon->users, packer);
}

void status_pack(const struct daemon *daemon, const struct pool *only, const struct rights *rights, msgpack_packer *packer)
{
	static const char *const states[] = {"running", "draining", "stopping", "done"}; /* as enum daemon_state */
	const bool watches = rights_have_any(rights, RIGHT_WATCH);
	const struct pool *pool;

	msgpack_pack_map(packer, !watches ? 6 : daemon->cluster ? 12 : 11);
	pair_text(packer, "server", "objpool");
	pair_text(packer, "version", OBJPOOL_VERSION);
	pair_number(packer, "pid", (uint64_t)getpid());
	pair_seconds(packer, "uptime_s", daemon->core.now - daemon->started);
	pair_text(packer, "state", states[daemon->state]);
	if (watches)
		pack_whole(daemon, packer);
	if (watches && daemon->cluster) {
		pack_text(packer, "cluster");
		cluster_view_pack_short(daemon, packer);
	}
	pack_text(packer, "pools");
	msgpack_pack_array(packer, count_seen(daemon, only, rights));
	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		if (is_seen(pool, only, rights))
			pack_pool(pool, packer);
}

int status_pack_description(const struct pool *pool, msgpack_packer *packer)
{
	const struct template *template = template_of(pool);
	struct reader reader = reader_of(template->described);
	uint32_t n;

	if (!template->description || read_map(&reader, &n) < 0)
		return -1;
	msgpack_pack_map(packer, n + 1);
	pair_text(packer, "pool", pool->name);
	packer->callback(packer->data, (const char *)reader.p, (size_t)(reader.end - reader.p));
	return 0;
}

struct status_totals status_totals(const struct daemon *daemon)
{
	struct status_totals totals = {0};
	const struct pool *pool;

	TAILQ_FOREACH(pool, &daemon->core.pools, link) {
		if (pool->leaving)
			continue;
		totals.pools++;
		totals.slots += pool->size;
		totals.ready += ready_slots(pool);
		if (!totals.troubled && pool->reason[0])
			totals.troubled = pool;
	}
	return totals;
}

/* No instance is ready, and so the line does not have that word. */
static int none_ready(const struct status_totals *totals, char *text, size_t size)
{
	const char *plural = totals->pools == 1 ? "" : "s";

	if (totals->pools == 0)
		return snprintf(text, size, "no pools");
	if (totals->slots == 0)
		return snprintf(text, size, "%u pool%s, asleep", totals->pools, plural);
	if (!totals->troubled)
		return snprintf(text, size, "%u pool%s, none of %u instances is up", totals->pools, plural, totals->slots);
	return snprintf(text, size, "%u pool%s, none of %u instances is up: pool %s: %s", totals->pools, plural, totals->slots,
			totals->troubled->name, totals->troubled->reason);
}

void status_line(const struct status_totals *totals, char *text, size_t size)
{
	char line[1024];
	int n;

	if (totals->ready == 0)
		n = none_ready(totals, line, sizeof line);
	else
		n = snprintf(line, sizeof line, "%u pool%s, %u of %u instances ready", totals->pools,
			     totals->pools == 1 ? "" : "s", totals->ready, totals->slots);
	(void)escape_text(text, size, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

uint32_t status_calls(const struct daemon *daemon)
{
	const struct pool *pool;
	uint32_t calls = 0;

	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		calls += pool->calls_count;
	return calls;
}

uint32_t status_direct_channels(const struct daemon *daemon)
{
	const struct pool *pool;
	uint32_t n = 0;

	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		n += status_direct(pool);
	return n;
}
