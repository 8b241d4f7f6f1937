/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/view/metrics.h"

#include "daemon/core/records/methods.h"
#include "daemon/core/records/pool.h"
#include "daemon/supervisor/base/procfs.h"
#include "daemon/supervisor/cluster/state.h"
#include "daemon/supervisor/connections/handshake.h"
#include "daemon/supervisor/transport/tls_context.h"
#include "daemon/supervisor/users/users.h"
#include "daemon/supervisor/view/status.h"
#include "daemon/supervisor/workers/template.h"
#include "daemon/supervisor/workers/worker.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double seconds(uint64_t nanoseconds)
{
	return (double)nanoseconds / (double)SECOND;
}

/* ---- lines ---- */

/* The text that is being made. */
struct page {
	FILE *to;
	enum metrics_format format;
	const struct rights *rights; /* of who gets it; NULL: everything is shown */
};

static bool is_shown(const struct pool *pool, const struct page *page)
{
	return !pool->leaving && rights_may_see(page->rights, pool->name);
}

/* What the names of a family's samples end with. */
static const char *suffix_of(const char *type)
{
	return strcmp(type, "counter") == 0 ? "_total" : strcmp(type, "info") == 0 ? "_info" : "";
}

/* Prometheus' text format describes the samples by their whole name, and knows neither units nor the type info. */
static void family_classic(FILE *to, const char *name, const char *type, const char *help)
{
	const char *suffix = suffix_of(type);

	fprintf(to, "# HELP %s%s %s\n", name, suffix, help);
	fprintf(to, "# TYPE %s%s %s\n", name, suffix, strcmp(type, "info") == 0 ? "gauge" : type);
}

/* A family: its name ends with the unit, if it has one. */
static void family(const struct page *page, const char *name, const char *type, const char *unit, const char *help)
{
	if (page->format == METRICS_CLASSIC) {
		family_classic(page->to, name, type, help);
		return;
	}
	fprintf(page->to, "# TYPE %s %s\n", name, type);
	if (unit)
		fprintf(page->to, "# UNIT %s %s\n", name, unit);
	fprintf(page->to, "# HELP %s %s\n", name, help);
}

static void put_escaped(FILE *to, const char *text)
{
	for (; *text; text++)
		if (*text == '\n')
			fputs("\\n", to);
		else if (*text == '\\' || *text == '"')
			fprintf(to, "\\%c", *text);
		else
			fputc(*text, to);
}

/* name="value" */
static void put_label(FILE *to, const char *name, const char *value)
{
	fprintf(to, "%s=\"", name);
	put_escaped(to, value);
	fputc('"', to);
}

static void single(const struct page *page, const char *name, const char *type, const char *unit, const char *help, double value)
{
	family(page, name, type, unit, help);
	fprintf(page->to, "%s%s %.15g\n", name, suffix_of(type), value);
}

/* ---- the process ---- */

/* What tells of others than one's own pools. */
static void put_whole(const struct daemon *daemon, const struct page *page)
{
	const struct procfs own = procfs_read(getpid());
	const double uptime = seconds(daemon->core.now - daemon->started);

	single(page, "objpool_start_time_seconds", "gauge", "seconds", "When the daemon started, since 1970.",
	       (double)time(NULL) - uptime);
	single(page, "objpool_cpu_seconds", "counter", "seconds", "CPU time of the daemon itself.", own.cpu_s);
	single(page, "objpool_resident_memory_bytes", "gauge", "bytes", "Memory of the daemon itself.", (double)own.rss);
	single(page, "objpool_memory_used_bytes", "gauge", "bytes", "What the daemon holds for sessions and workers.",
	       (double)daemon->core.memory.used);
	single(page, "objpool_memory_limit_bytes", "gauge", "bytes", "max_memory; 0: there is no limit.",
	       (double)daemon->core.memory.limit);
	single(page, "objpool_memory_refused_calls", "counter", NULL, "Calls that were refused because of max_memory.",
	       (double)daemon->core.memory_refused);
	single(page, "objpool_denied_requests", "counter", NULL, "Requests to which their clients have no right.",
	       (double)daemon->core.denied);
	single(page, "objpool_sessions", "gauge", NULL, "Clients that are connected.", daemon->session_count);
	single(page, "objpool_draining", "gauge", NULL, "1 when the daemon finishes what it has and takes no new calls.",
	       daemon->state != DAEMON_RUNNING);
	single(page, "objpool_late_answers", "counter", NULL, "Answers of workers that nobody waited for any more.",
	       (double)daemon->core.late);
}

static void put_config(const struct config_readings *readings, const struct page *page)
{
	single(page, "objpool_config_last_reload_successful", "gauge", NULL,
	       "1 if the last reload has worked, or there was none; 0: it has failed, and nothing has changed.",
	       !readings->last_failed);
	single(page, "objpool_config_last_reload_success_timestamp_seconds", "gauge", "seconds",
	       "When the configuration that is in force was read, since 1970.", (double)readings->succeeded);
	single(page, "objpool_config_reloads", "counter", NULL, "Reloads of the configuration, failed ones included.",
	       (double)readings->reloads);
	single(page, "objpool_config_failed_reloads", "counter", NULL, "Those of them that have failed.",
	       (double)readings->failed);
	single(page, "objpool_config_last_reload_duration_seconds", "gauge", "seconds",
	       "How long the daemon was at the last reload, without the workers that are replaced after it.",
	       seconds(readings->took));
}

static void put_http(const struct daemon *daemon, const struct page *page)
{
	const struct http_counts *counts = &daemon->http_counts;

	if (daemon->http)
		single(page, "objpool_http_viewers", "gauge", NULL, "Pages for people that are open.", counts->viewers);
	if (!daemon->config.http_calls)
		return;
	single(page, "objpool_http_running_calls", "gauge", NULL, "Calls by HTTP that have no answer.", counts->running);
	single(page, "objpool_http_calls", "counter", NULL, "Calls by HTTP.", (double)counts->calls);
	single(page, "objpool_http_refused_requests", "counter", NULL, "Requests to call by HTTP that were refused at once.",
	       (double)counts->refused);
}

static void put_tls(const struct daemon *daemon, const struct page *page)
{
	if (!daemon->tls)
		return;
	single(page, "objpool_tls_handshakes", "gauge", NULL, "Connections whose handshake of TLS is not done.",
	       handshakes_count(daemon->handshakes));
	single(page, "objpool_tls_failed_handshakes", "counter", NULL, "Handshakes of TLS that have failed.",
	       (double)handshakes_failed(daemon->handshakes));
	single(page, "objpool_tls_certificate_expiry_seconds", "gauge", "seconds",
	       "When the daemon's certificate expires, since 1970.", (double)tls_context_expires(daemon->tls));
}

static void put_process(const struct daemon *daemon, const struct page *page)
{
	family(page, "objpool_build", "info", NULL, "The daemon.");
	fputs("objpool_build_info{", page->to);
	put_label(page->to, "version", OBJPOOL_VERSION);
	fputs("} 1\n", page->to);
	if (!rights_have_any(page->rights, RIGHT_WATCH))
		return;
	put_whole(daemon, page);
	put_config(&daemon->readings, page);
	put_tls(daemon, page);
	put_http(daemon, page);
}

/* ---- pools and slots: a table of what each has ---- */

struct pool_gauges {
	uint32_t workers, queue, running, direct, paused;
};

static struct pool_gauges gauges_of(const struct pool *pool)
{
	return (struct pool_gauges){.workers = pool->size,
				    .queue = pool->waiting,
				    .running = status_running_batches(pool),
				    .direct = status_direct(pool),
				    .paused = pool->paused};
}

static const struct {
	const char *name, *help;
	size_t at;
} pool_gauges[] = {
	{"objpool_pool_workers", "Slots of the pool.", offsetof(struct pool_gauges, workers)},
	{"objpool_pool_queue_length", "What waits in the pool for an instance.", offsetof(struct pool_gauges, queue)},
	{"objpool_pool_running", "Tasks and batches that workers have in hand.", offsetof(struct pool_gauges, running)},
	{"objpool_pool_direct_channels", "Direct channels between clients and instances.", offsetof(struct pool_gauges, direct)},
	{"objpool_pool_paused", "1 while the pool is paused: its calls wait.", offsetof(struct pool_gauges, paused)},
};

#define AT(member) offsetof(struct pool_counts, member)
static const struct {
	const char *name, *help;
	size_t at;
} pool_counters[] = {
	{"objpool_pool_calls", "Calls that were accepted.", AT(calls)},
	{"objpool_pool_failed_tasks", "Tasks that failed; a call has one, or many.", AT(failures)},
	{"objpool_pool_lost_tasks", "Tasks that were lost with their worker.", AT(lost)},
	{"objpool_pool_rejected_calls", "Calls that were refused: a full queue, or no instance.", AT(rejected)},
	{"objpool_pool_worker_starts", "Workers that were started.", AT(starts)},
	{"objpool_pool_worker_restarts", "Those of them that took the place of another in their slot.", AT(restarts)},
	{"objpool_pool_worker_failed_starts", "Those of them that did not become ready.", AT(failed_starts)},
	{"objpool_pool_worker_deaths", "Workers that died when they should not have.", AT(deaths)},
};
#undef AT

/* Of a pool's templates, and of the time that starts take. */
typedef double build_value_fn(const struct pool *pool);

static double template_loads(const struct pool *pool)
{
	return (double)template_of(pool)->loads.started;
}

static double template_failed_loads(const struct pool *pool)
{
	return (double)template_of(pool)->loads.failed;
}

static double template_load_took(const struct pool *pool)
{
	return seconds(template_of(pool)->loads.took);
}

static double template_rss(const struct pool *pool)
{
	return (double)template_usage(template_of(pool)).rss;
}

static double start_took(const struct pool *pool)
{
	return seconds(pool->start_took);
}

static const struct {
	const char *name, *type, *unit, *help;
	build_value_fn *value;
} build_families[] = {
	{"objpool_pool_template_loads", "counter", NULL, "Template processes that were started for the pool.", template_loads},
	{"objpool_pool_template_failed_loads", "counter", NULL, "Those of them that did not load the class.",
	 template_failed_loads},
	{"objpool_pool_template_load_duration_seconds", "gauge", "seconds",
	 "How long the last template that has loaded its class took to do so.", template_load_took},
	{"objpool_pool_template_resident_memory_bytes", "gauge", "bytes", "Memory of the pool's template process.", template_rss},
	{"objpool_pool_worker_start_duration_seconds", "gauge", "seconds",
	 "How long the last worker that got ready took, from its start, also while the template loaded.", start_took},
};

static void put_pool_label(const struct pool *pool, FILE *to)
{
	fputc('{', to);
	put_label(to, "pool", pool->name);
	fputs("} ", to);
}

static void put_pool_gauge(const struct daemon *daemon, size_t i, const struct page *page)
{
	const struct pool *pool;

	family(page, pool_gauges[i].name, "gauge", NULL, pool_gauges[i].help);
	TAILQ_FOREACH(pool, &daemon->core.pools, link) {
		if (!is_shown(pool, page))
			continue;
		const struct pool_gauges gauges = gauges_of(pool);
		fputs(pool_gauges[i].name, page->to);
		put_pool_label(pool, page->to);
		fprintf(page->to, "%" PRIu32 "\n", *(const uint32_t *)((const char *)&gauges + pool_gauges[i].at));
	}
}

static void put_pool_counter(const struct daemon *daemon, size_t i, const struct page *page)
{
	const struct pool *pool;

	family(page, pool_counters[i].name, "counter", NULL, pool_counters[i].help);
	TAILQ_FOREACH(pool, &daemon->core.pools, link) {
		if (!is_shown(pool, page))
			continue;
		fprintf(page->to, "%s_total", pool_counters[i].name);
		put_pool_label(pool, page->to);
		fprintf(page->to, "%" PRIu64 "\n", *(const uint64_t *)((const char *)&pool->counts + pool_counters[i].at));
	}
}

static void put_build_family(const struct daemon *daemon, size_t i, const struct page *page)
{
	const char *type = build_families[i].type;
	const struct pool *pool;

	family(page, build_families[i].name, type, build_families[i].unit, build_families[i].help);
	TAILQ_FOREACH(pool, &daemon->core.pools, link) {
		if (!is_shown(pool, page))
			continue;
		fprintf(page->to, "%s%s", build_families[i].name, suffix_of(type));
		put_pool_label(pool, page->to);
		fprintf(page->to, "%.15g\n", build_families[i].value(pool));
	}
}

static void put_states(const struct pool *pool, FILE *to)
{
	static const char *const names[] = {"waiting", "starting", "ready", "stopping", "failed"};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		uint32_t count = 0;
		for (uint32_t s = 0; s < pool->size; s++)
			count += strcmp(status_slot_state(pool->slots[s]), names[i]) == 0;
		fputs("objpool_pool_slots{", to);
		put_label(to, "pool", pool->name);
		fprintf(to, ",state=\"%s\"} %u\n", names[i], count);
	}
}

static void put_pools(const struct daemon *daemon, const struct page *page)
{
	const struct pool *pool;

	for (size_t i = 0; i < sizeof pool_gauges / sizeof *pool_gauges; i++)
		put_pool_gauge(daemon, i, page);
	for (size_t i = 0; i < sizeof pool_counters / sizeof *pool_counters; i++)
		put_pool_counter(daemon, i, page);
	for (size_t i = 0; i < sizeof build_families / sizeof *build_families; i++)
		put_build_family(daemon, i, page);
	family(page, "objpool_pool_slots", "gauge", NULL, "Slots of the pool by state.");
	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		if (is_shown(pool, page))
			put_states(pool, page->to);
}

/* What is known of a slot, and of the process in it. */
struct slot_values {
	const struct slot *slot;
	struct procfs process;
	uint64_t running;
};

typedef double slot_value_fn(const struct slot_values *values);

static double slot_tasks(const struct slot_values *v)
{
	return (double)v->slot->calls;
}

static double slot_failed(const struct slot_values *v)
{
	return (double)v->slot->failed;
}

static double slot_cpu(const struct slot_values *v)
{
	return v->process.cpu_s;
}

static double slot_rss(const struct slot_values *v)
{
	return (double)v->process.rss;
}

static double slot_running(const struct slot_values *v)
{
	return seconds(v->running);
}

static const struct {
	const char *name, *type, *unit, *help;
	slot_value_fn *value;
} slot_families[] = {
	{"objpool_slot_tasks", "counter", NULL, "Tasks that the slot's workers have answered.", slot_tasks},
	{"objpool_slot_failed_tasks", "counter", NULL, "Those of them that failed.", slot_failed},
	{"objpool_worker_cpu_seconds", "counter", "seconds", "CPU time of the slot's present worker.", slot_cpu},
	{"objpool_worker_resident_memory_bytes", "gauge", "bytes", "Memory of the slot's present worker.", slot_rss},
	{"objpool_worker_running_seconds", "gauge", "seconds", "How long the worker has been at the method that it runs.",
	 slot_running},
};

static void put_slot_family(const struct slot_values *values, size_t count, size_t i, const struct page *page)
{
	family(page, slot_families[i].name, slot_families[i].type, slot_families[i].unit, slot_families[i].help);
	for (size_t s = 0; s < count; s++) {
		fprintf(page->to, "%s%s{", slot_families[i].name, suffix_of(slot_families[i].type));
		put_label(page->to, "pool", values[s].slot->pool->name);
		fprintf(page->to, ",slot=\"%u\"} %.15g\n", values[s].slot->index, slot_families[i].value(&values[s]));
	}
}

static size_t count_slots(const struct daemon *daemon, const struct page *page)
{
	const struct pool *pool;
	size_t count = 0;

	TAILQ_FOREACH(pool, &daemon->core.pools, link)
		count += is_shown(pool, page) ? pool->size : 0;
	return count;
}

static void look_at_slots(const struct daemon *daemon, const struct page *page, struct slot_values *values)
{
	const struct pool *pool;
	char room[DIRECT_NAME];

	TAILQ_FOREACH(pool, &daemon->core.pools, link) {
		for (uint32_t i = 0; i < pool->size && is_shown(pool, page); i++, values++) {
			values->slot = pool->slots[i];
			values->process = worker_usage(values->slot);
			(void)status_running(values->slot, daemon->core.now, &values->running, room);
		}
	}
}

static int put_slots(const struct daemon *daemon, const struct page *page)
{
	const size_t count = count_slots(daemon, page);
	struct slot_values *values = calloc(count + 1, sizeof *values);

	if (!values)
		return -1;
	look_at_slots(daemon, page, values);
	for (size_t i = 0; i < sizeof slot_families / sizeof *slot_families; i++)
		put_slot_family(values, count, i, page);
	free(values);
	return 0;
}

/* ---- users: of the configuration, and no others ---- */

typedef double user_value_fn(const struct user_state *user);

static double user_sessions(const struct user_state *user)
{
	return user->sessions;
}

static double user_inflight(const struct user_state *user)
{
	return user->inflight;
}

static double user_leases(const struct user_state *user)
{
	return user->leases;
}

static double user_directs(const struct user_state *user)
{
	return user->directs;
}

static double user_memory(const struct user_state *user)
{
	return (double)user->memory;
}

static double user_calls(const struct user_state *user)
{
	return (double)user->calls;
}

static double user_denied(const struct user_state *user)
{
	return (double)user->denied;
}

static double user_overloaded(const struct user_state *user)
{
	return (double)user->overloaded;
}

static const struct {
	const char *name, *type, *help;
	user_value_fn *value;
} user_families[] = {
	{"objpool_user_sessions", "gauge", "Sessions of the user.", user_sessions},
	{"objpool_user_inflight_calls", "gauge", "Calls of the user that have no answer.", user_inflight},
	{"objpool_user_leases", "gauge", "Leases of the user, with those that it waits for.", user_leases},
	{"objpool_user_direct_channels", "gauge", "Direct channels of the user.", user_directs},
	{"objpool_user_memory_bytes", "gauge", "What the daemon holds for the user's sessions.", user_memory},
	{"objpool_user_calls", "counter", "Calls of pools that the user has made.", user_calls},
	{"objpool_user_denied_requests", "counter", "Requests to which the user has no right.", user_denied},
	{"objpool_user_overloaded_requests", "counter", "Requests and sessions over a limit of the user.", user_overloaded},
};

static void put_user_family(const struct user_state *users, uint32_t count, size_t i, const struct page *page)
{
	family(page, user_families[i].name, user_families[i].type, NULL, user_families[i].help);
	for (uint32_t u = 0; u < count; u++) {
		fprintf(page->to, "%s%s{", user_families[i].name, suffix_of(user_families[i].type));
		put_label(page->to, "user", users[u].name);
		fprintf(page->to, "} %.15g\n", user_families[i].value(&users[u]));
	}
}

static int put_users(const struct daemon *daemon, const struct page *page)
{
	const uint32_t count = users_count(daemon->users);

	if (count == 0 || !rights_have_any(page->rights, RIGHT_WATCH))
		return 0;
	struct user_state *states = calloc(count, sizeof *states);
	if (!states)
		return -1;
	for (uint32_t i = 0; i < count; i++)
		states[i] = users_state(daemon->users, i);
	for (size_t i = 0; i < sizeof user_families / sizeof *user_families; i++)
		put_user_family(states, count, i, page);
	free(states);
	return 0;
}

/* ---- the cluster: in one, for those who may watch ---- */

static void put_host_states(const struct hosts *hosts, const struct page *page)
{
	family(page, "objpool_cluster_hosts", "gauge", NULL, "Hosts of the cluster, by how they are.");
	for (int state = 0; state < HOST_STATES; state++)
		fprintf(page->to, "objpool_cluster_hosts{state=\"%s\"} %u\n", host_state_name((enum host_state)state),
			hosts_in(hosts, (enum host_state)state));
}

typedef double host_value_fn(const struct host *host);

static double host_ready(const struct host *host)
{
	return host->state == HOST_READY || host->state == HOST_SELF;
}

static double host_rtt(const struct host *host)
{
	return host->rtt_us < 0 ? 0 : (double)host->rtt_us / 1e6;
}

static double host_inflight(const struct host *host)
{
	return (double)host->counts[HOST_INFLIGHT];
}

static double host_calls(const struct host *host)
{
	return (double)host->counts[HOST_CALLS];
}

static double host_served(const struct host *host)
{
	return (double)host->counts[HOST_SERVED];
}

static double host_lost(const struct host *host)
{
	return (double)host->counts[HOST_LOST_CALLS];
}

static double host_late(const struct host *host)
{
	return (double)host->counts[HOST_LATE];
}

static double host_duplicates(const struct host *host)
{
	return (double)host->counts[HOST_DUPLICATES];
}

static double host_resent(const struct host *host)
{
	return (double)host->counts[HOST_RESENT];
}

static const struct {
	const char *name, *type, *unit, *help;
	host_value_fn *value;
} host_families[] = {
	{"objpool_host_ready", "gauge", NULL, "1 while the host can be called.", host_ready},
	{"objpool_host_rtt_seconds", "gauge", "seconds", "A packet's way there and back; 0: not known.", host_rtt},
	{"objpool_host_inflight_calls", "gauge", NULL, "Requests that the host owes an answer.", host_inflight},
	{"objpool_host_calls", "counter", NULL, "Requests that were sent to the host.", host_calls},
	{"objpool_host_served_calls", "counter", NULL, "Calls of the host that were begun here.", host_served},
	{"objpool_host_lost_calls", "counter", NULL, "Requests to the host that ended with HOST_LOST.", host_lost},
	{"objpool_host_resent_packets", "counter", NULL, "Packets to the host that had to be sent again.", host_resent},
	{"objpool_host_duplicate_packets", "counter", NULL, "Packets of the host that came again.", host_duplicates},
	{"objpool_host_late_packets", "counter", NULL, "Packets of the host that came too late.", host_late},
};

static void put_host_family(const struct hosts *hosts, size_t i, const struct page *page)
{
	family(page, host_families[i].name, host_families[i].type, host_families[i].unit, host_families[i].help);
	for (uint32_t n = 0; n < hosts->count; n++) {
		fprintf(page->to, "%s%s{", host_families[i].name, suffix_of(host_families[i].type));
		put_label(page->to, "host", hosts->hosts[n].name);
		fprintf(page->to, "} %.15g\n", host_families[i].value(&hosts->hosts[n]));
	}
}

static const struct {
	const char *name, *type, *unit, *help;
	size_t place; /* of a uint64_t in struct bus */
} bus_families[] = {
	{"objpool_cluster_reconnects", "counter", NULL, "Times that the bus was connected again.", offsetof(struct bus, reconnects)},
	{"objpool_cluster_received_messages", "counter", NULL, "Messages from the bus.", offsetof(struct bus, in_messages)},
	{"objpool_cluster_sent_messages", "counter", NULL, "Messages to the bus.", offsetof(struct bus, out_messages)},
	{"objpool_cluster_received_bytes", "counter", "bytes", "Bytes of messages from the bus.", offsetof(struct bus, in_bytes)},
	{"objpool_cluster_sent_bytes", "counter", "bytes", "Bytes of messages to the bus.", offsetof(struct bus, out_bytes)},
	{"objpool_cluster_dropped_messages", "counter", NULL, "Messages that came faster than they were taken, and were lost.",
	 offsetof(struct bus, slow)},
	{"objpool_cluster_late_packets", "counter", NULL, "Packets and beats of no known host, or for an earlier gateway.",
	 offsetof(struct bus, late)},
	{"objpool_cluster_gateway_memory_bytes", "gauge", "bytes", "What the gateway holds of requests and answers.",
	 offsetof(struct bus, memory)},
	{"objpool_cluster_gateway_memory_limit_bytes", "gauge", "bytes", "How much that may be.", offsetof(struct bus, memory_limit)},
};

static void put_bus(const struct bus *bus, const struct page *page)
{
	for (size_t i = 0; i < sizeof bus_families / sizeof *bus_families; i++)
		single(page, bus_families[i].name, bus_families[i].type, bus_families[i].unit, bus_families[i].help,
		       (double)*(const uint64_t *)((const char *)bus + bus_families[i].place));
}

static void put_cluster(const struct daemon *daemon, const struct page *page)
{
	const struct cluster *cluster = daemon->cluster;

	if (!cluster || !rights_have_any(page->rights, RIGHT_WATCH))
		return;
	single(page, "objpool_cluster_connected", "gauge", NULL, "1 while the gateway is connected to the bus.",
	       strcmp(cluster->bus_state, "connected") == 0);
	put_bus(&cluster->hosts.bus, page);
	single(page, "objpool_cluster_requests", "gauge", NULL, "Requests of clients here that the gateway has.", cluster->errands);
	single(page, "objpool_cluster_calls", "counter", NULL, "Requests that were given to the gateway.", (double)cluster->calls);
	single(page, "objpool_cluster_lost", "counter", NULL, "Requests that ended with the gateway.", (double)cluster->lost);
	single(page, "objpool_cluster_gateway_starts", "counter", NULL, "Times that the gateway was started.",
	       (double)cluster->starts);
	put_host_states(&cluster->hosts, page);
	for (size_t i = 0; i < sizeof host_families / sizeof *host_families; i++)
		put_host_family(&cluster->hosts, i, page);
}

/* ---- methods ---- */

static void put_method_labels(const struct pool *pool, const char *method, FILE *to)
{
	put_label(to, "pool", pool->name);
	fputc(',', to);
	put_label(to, "method", method);
}

static void put_histogram(const struct histogram *histogram, const char *name, const struct pool *pool, const char *method,
			  FILE *to)
{
	for (unsigned power = HISTOGRAM_FIRST; power <= HISTOGRAM_FIRST + HISTOGRAM_OCTAVES; power++) {
		fprintf(to, "%s_bucket{", name);
		put_method_labels(pool, method, to);
		fprintf(to, ",le=\"%.15g\"} %" PRIu64 "\n", seconds(UINT64_C(1) << power),
			histogram_count_within(histogram, power));
	}
	fprintf(to, "%s_bucket{", name);
	put_method_labels(pool, method, to);
	fprintf(to, ",le=\"+Inf\"} %" PRIu64 "\n%s_count{", histogram->count, name);
	put_method_labels(pool, method, to);
	fprintf(to, "} %" PRIu64 "\n%s_sum{", histogram->count, name);
	put_method_labels(pool, method, to);
	fprintf(to, "} %.15g\n", seconds(histogram->sum));
}

typedef void measure_fn(const struct measure *measure, const struct pool *pool, const char *method, FILE *to);

static void put_call_durations(const struct measure *measure, const struct pool *pool, const char *method, FILE *to)
{
	put_histogram(&measure->calls, "objpool_call_duration_seconds", pool, method, to);
}

static void put_method_durations(const struct measure *measure, const struct pool *pool, const char *method, FILE *to)
{
	put_histogram(&measure->runs, "objpool_method_duration_seconds", pool, method, to);
}

static void put_failed_calls(const struct measure *measure, const struct pool *pool, const char *method, FILE *to)
{
	fputs("objpool_failed_calls_total{", to);
	put_method_labels(pool, method, to);
	fprintf(to, "} %" PRIu64 "\n", measure->failures);
}

static void put_measures(const struct daemon *daemon, measure_fn *put, const struct page *page)
{
	const struct measure *measure;
	const struct pool *pool;
	const char *method;

	TAILQ_FOREACH(pool, &daemon->core.pools, link) {
		uint32_t at = 0;
		while (is_shown(pool, page) && (measure = methods_next_measure(&pool->methods, &at, &method)))
			put(measure, pool, method, page->to);
	}
}

static void put_methods(const struct daemon *daemon, const struct page *page)
{
	family(page, "objpool_failed_calls", "counter", NULL, "Calls that were answered with an error.");
	put_measures(daemon, put_failed_calls, page);
	family(page, "objpool_call_duration_seconds", "histogram", "seconds", "From a call's coming to its answer.");
	put_measures(daemon, put_call_durations, page);
	family(page, "objpool_method_duration_seconds", "histogram", "seconds", "A task's time in its method.");
	put_measures(daemon, put_method_durations, page);
}

/* ---- the whole ---- */

const char *metrics_type(enum metrics_format format)
{
	static const char *const types[] = {
		[METRICS_CLASSIC] = "text/plain; version=0.0.4; charset=utf-8",
		[METRICS_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8",
	};
	return types[format];
}

char *metrics_text(const struct daemon *daemon, const struct rights *rights, enum metrics_format format, size_t *size)
{
	char *text = NULL;
	const struct page page = {.to = open_memstream(&text, size), .format = format, .rights = rights};

	if (!page.to)
		return NULL;
	put_process(daemon, &page);
	put_pools(daemon, &page);
	bool failed = put_slots(daemon, &page) < 0;
	failed = put_users(daemon, &page) < 0 || failed;
	put_cluster(daemon, &page);
	put_methods(daemon, &page);
	if (format == METRICS_OPENMETRICS)
		fputs("# EOF\n", page.to);
	failed = ferror(page.to) || failed;
	if (fclose(page.to) == 0 && !failed)
		return text;
	free(text);
	return NULL;
}
