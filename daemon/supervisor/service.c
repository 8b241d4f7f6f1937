/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/service.h"

#include "daemon/core/lease.h"
#include "daemon/core/pool.h"
#include "daemon/core/request.h"
#include "daemon/supervisor/files.h"
#include "daemon/supervisor/log.h"
#include "daemon/supervisor/status.h"
#include "daemon/supervisor/template.h"

#include <errno.h>
#include <stdlib.h>

enum { WORKERS_MOST = 4096 };

/* One request on its way through a method. */
struct request {
	struct session *session;
	struct daemon *daemon;
	struct rpc *rpc;
	struct reader args; /* the arguments */
	uint32_t count;     /* how many */
	struct error error; /* when the method returns -1 */
	msgpack_packer *result; /* when it returns 0, one value has been written */
};

/* 0: result written; -1: error made; 1: a chore answers later. */
typedef int method_fn(struct request *request);

static int bad(struct request *request, const char *takes)
{
	error_say(&request->error, ERROR_BAD_ARGUMENT, RAN_NO, "%.*s takes %s", (int)request->rpc->method.size,
		  (const char *)request->rpc->method.bytes, takes);
	return -1;
}

/* The next argument as the name of a pool. */
static struct pool *pool_argument(struct request *request)
{
	struct span name;
	struct pool *pool;

	if (request->count == 0 || read_text(&request->args, &name) < 0) {
		bad(request, "the name of a pool first");
		return NULL;
	}
	request->count--;
	pool = pool_find(&request->daemon->core, name);
	if (!pool)
		error_say(&request->error, ERROR_NO_SUCH_POOL, RAN_NO, "there is no pool \"%.*s\"", (int)(name.size < 80 ? name.size : 80),
			  (const char *)name.bytes);
	return pool;
}

/* ---- about the connection ---- */

static int read_hello(struct request *request, uint32_t n)
{
	struct client *client = &request->session->client;
	struct span key, text, value;

	for (; n > 0; n--) {
		if (read_text(&request->args, &key) < 0)
			return bad(request, "a map with string keys");
		struct reader look = request->args;
		if (read_value(&request->args, &value) < 0)
			return bad(request, "a map");
		if (span_is(key, "errors")) {
			if (read_text(&look, &text) < 0 || (!span_is(text, "map") && !span_is(text, "string")))
				return bad(request, "errors as \"map\" or \"string\"");
			client->error_maps = span_is(text, "map");
		} else if (span_is(key, "fds")) {
			bool fds;
			if (read_bool(&look, &fds) < 0)
				return bad(request, "fds as true or false");
			files_offer(request->session, fds);
		} else if (span_is(key, "client") && read_text(&look, &text) == 0) {
			snprintf(client->name, sizeof client->name, "%.*s", (int)(text.size < CLIENT_NAME ? text.size : CLIENT_NAME), (const char *)text.bytes);
		}
	}
	return 0;
}

static void pack_limits(const struct daemon *daemon, msgpack_packer *packer)
{
	const struct core_limits *limits = &daemon->core.limits;
	msgpack_pack_map(packer, 5);
	status_pack_text(packer, "max_message");
	msgpack_pack_uint64(packer, limits->max_message);
	status_pack_text(packer, "max_inflight");
	msgpack_pack_uint64(packer, limits->max_inflight);
	status_pack_text(packer, "max_pending");
	msgpack_pack_uint64(packer, limits->max_pending);
	status_pack_text(packer, "max_unsent");
	msgpack_pack_uint64(packer, limits->max_unsent);
	status_pack_text(packer, "max_depth");
	msgpack_pack_uint64(packer, SCAN_LEVELS);
}

static int on_hello(struct request *request)
{
	uint32_t n = 0;

	if (request->count > 0 && read_map(&request->args, &n) < 0)
		return bad(request, "a map: {client: name, errors: \"map\"}");
	if (read_hello(request, n) < 0)
		return -1;
	msgpack_pack_map(request->result, 6);
	status_pack_text(request->result, "fds");
	(request->session->client.fds ? msgpack_pack_true : msgpack_pack_false)(request->result);
	status_pack_text(request->result, "server");
	status_pack_text(request->result, "objpool");
	status_pack_text(request->result, "version");
	status_pack_text(request->result, OBJPOOL_VERSION);
	status_pack_text(request->result, "session");
	msgpack_pack_uint64(request->result, request->session->client.id);
	status_pack_text(request->result, "pools");
	status_pack_pool_names(request->daemon, request->result);
	status_pack_text(request->result, "limits");
	pack_limits(request->daemon, request->result);
	return 0;
}

static int on_ping(struct request *request)
{
	const struct span params = request->rpc->params;
	return request->result->callback(request->result->data, (const char *)params.bytes, params.size);
}

static int on_cancel(struct request *request)
{
	struct client *client = &request->session->client;
	struct error why;
	uint64_t msgid;

	if (request->count != 1 || read_uint(&request->args, &msgid) < 0 || msgid > UINT32_MAX)
		return bad(request, "the msgid of a call in flight");
	struct ticket *ticket = idmap_get(&client->inflight, msgid);
	if (ticket) {
		error_say(&why, ERROR_CANCELLED, RAN_NO, "the call was cancelled by its caller");
		ticket->abandoned(ticket, &why);
	}
	if (ticket)
		msgpack_pack_true(request->result);
	else
		msgpack_pack_false(request->result);
	return 0;
}

/* ---- about the pools ---- */

static int on_pools(struct request *request)
{
	status_pack_pools(request->daemon, request->result);
	return 0;
}

static int on_status(struct request *request)
{
	struct pool *pool = NULL;
	if (request->count > 0 && read_nil(&request->args) < 0 && !(pool = pool_argument(request)))
		return -1;
	status_pack(request->daemon, pool, request->result);
	return 0;
}

static int on_describe(struct request *request)
{
	struct pool *pool = pool_argument(request);
	if (!pool)
		return -1;
	if (status_pack_description(pool, request->result) < 0) {
		pool_unavailable(pool, NULL, &request->error);
		return -1;
	}
	return 0;
}

/* ---- chores ---- */

static void chore_free(struct chore *chore)
{
	TAILQ_REMOVE(&chore->daemon->chores, chore, link);
	free(chore);
}

/* The client has gone, or has cancelled: what was begun goes on, nobody waits. */
static void on_chore_abandoned(struct ticket *ticket, const struct error *why)
{
	if (why) {
		struct error error = *why;
		error.message.bytes = (const uint8_t *)error.text;
		ticket_answer_error(ticket, &error);
	}
}

static struct chore *chore_new(struct daemon *daemon, struct pool *pool)
{
	struct chore *chore = calloc(1, sizeof *chore);
	if (!chore)
		return NULL;
	chore->daemon = daemon;
	chore->pool = pool;
	TAILQ_INSERT_TAIL(&daemon->chores, chore, link);
	daemon->slots_changed = true;
	return chore;
}

static int begin_chore(struct request *request, struct chore *chore)
{
	if (!chore) {
		error_say(&request->error, ERROR_OVERLOADED, RAN_NO, "the daemon is out of memory");
		return -1;
	}
	if (ticket_open(&chore->ticket, &request->session->client, request->rpc, on_chore_abandoned) < 0)
		log_say(LOG_ERR, "out of memory: a request is done, but can't be answered");
	return 1;
}

static int on_scale(struct request *request)
{
	struct pool *pool = pool_argument(request);
	uint64_t n;

	if (!pool)
		return -1;
	if (request->count != 1 || read_uint(&request->args, &n) < 0 || n < 1 || n > WORKERS_MOST)
		return bad(request, "a pool and a number of workers from 1 to 4096");
	log_pool(LOG_INFO, pool, "scaled from %u to %llu workers by session %llu", pool->size, (unsigned long long)n,
		 (unsigned long long)request->session->client.id);
	const bool adaptive = sizing_is_adaptive(pool);
	if (pool->settings.workers_min > n || !adaptive)
		pool->settings.workers_min = (uint32_t)n;
	if (pool->settings.workers_max < n || !adaptive)
		pool->settings.workers_max = (uint32_t)n;
	if (pool_resize(pool, (uint32_t)n) < 0) {
		error_say(&request->error, ERROR_OVERLOADED, RAN_MAYBE, "the daemon is out of memory");
		return -1;
	}
	return begin_chore(request, chore_new(request->daemon, pool));
}

static int read_lease_option(struct request *request, struct lease_options *options, struct span key, struct reader *value)
{
	uint64_t n;

	if (read_uint(value, &n) < 0 || n > UINT32_MAX)
		return bad(request, "options of whole numbers: timeout_ms, lease_ms, slot");
	if (span_is(key, "timeout_ms"))
		options->patience = n ? n * MILLISECOND : 1;
	else if (span_is(key, "lease_ms"))
		options->time = n * MILLISECOND;
	else if (span_is(key, "slot"))
		options->slot = (int64_t)n;
	else
		return bad(request, "the options timeout_ms, lease_ms and slot");
	return 0;
}

static int read_lease_options(struct request *request, struct lease_options *options)
{
	struct span key, value;
	uint32_t n;

	if (request->count == 0 || read_nil(&request->args) == 0)
		return 0;
	if (read_map(&request->args, &n) < 0)
		return bad(request, "a pool and a map of options");
	for (; n > 0; n--) {
		if (read_text(&request->args, &key) < 0)
			return bad(request, "a map with string keys");
		struct reader look = request->args;
		if (read_value(&request->args, &value) < 0 || read_lease_option(request, options, key, &look) < 0)
			return -1;
	}
	return 0;
}

static int on_lease(struct request *request)
{
	struct lease_options options = {.slot = -1};
	struct pool *pool = pool_argument(request);

	if (!pool || read_lease_options(request, &options) < 0)
		return -1;
	if (sizing_on_call(pool) < 0 || !pool_is_available(pool)) {
		pool_unavailable(pool, NULL, &request->error);
		return -1;
	}
	if (options.slot >= (int64_t)pool->size) {
		error_say(&request->error, ERROR_NO_SUCH_SLOT, RAN_NO, "pool %s has slots 0 to %u", pool->name, pool->size - 1);
		return -1;
	}
	if (request->rpc->type == RPC_NOTIFICATION)
		return 1; /* nobody would know which */
	if (lease_begin(&request->session->client, request->rpc, pool, &options) == 0)
		return 1;
	error_say(&request->error, ERROR_OVERLOADED, RAN_NO, "the daemon is out of memory");
	return -1;
}

/* The slot that is given back: a number, what objpool.lease returned, or nothing: the only one. */
static int read_released(struct request *request, int64_t *slot)
{
	struct span key, value;
	uint64_t number;
	uint32_t n;

	*slot = -1;
	if (request->count == 0 || read_nil(&request->args) == 0)
		return 0;
	if (read_uint(&request->args, &number) == 0) {
		*slot = (int64_t)(number & UINT32_MAX);
		return 0;
	}
	if (read_map(&request->args, &n) < 0)
		return -1;
	for (; n > 0 && read_text(&request->args, &key) == 0; n--) {
		struct reader look = request->args;
		if (read_value(&request->args, &value) < 0)
			return -1;
		if (span_is(key, "slot") && read_uint(&look, &number) == 0)
			*slot = (int64_t)(number & UINT32_MAX);
	}
	return 0;
}

static int on_release(struct request *request)
{
	struct pool *pool = pool_argument(request);
	int64_t slot;

	if (!pool)
		return -1;
	if (read_released(request, &slot) < 0)
		return bad(request, "a pool and the slot that was leased");
	struct lease *lease = lease_find(&request->session->client, pool, slot);
	if (lease && lease->state == LEASE_HELD)
		msgpack_pack_true(request->result);
	else
		msgpack_pack_false(request->result);
	if (lease)
		lease_release(lease);
	return 0;
}

static int on_forget(struct request *request)
{
	struct pool *pool = pool_argument(request);
	struct span method = {0};

	if (!pool)
		return -1;
	if (request->count > 0 && read_nil(&request->args) < 0 && (read_text(&request->args, &method) < 0 || method.size == 0))
		return bad(request, "a pool and, if it likes, a method");
	msgpack_pack_uint32(request->result, sticky_forget(pool, method));
	return 0;
}

static int on_restart(struct request *request)
{
	struct pool *pool = pool_argument(request);
	struct chore *chore;
	uint64_t slot = 0;

	if (!pool)
		return -1;
	const bool one = request->count > 0 && read_nil(&request->args) < 0;
	if (one && (read_uint(&request->args, &slot) < 0))
		return bad(request, "a pool and, if it likes, a slot");
	if (slot >= pool->size) {
		error_say(&request->error, ERROR_NO_SUCH_SLOT, RAN_NO, "pool %s has slots 0 to %u", pool->name, pool->size - 1);
		return -1;
	}
	chore = chore_new(request->daemon, pool);
	if (chore) {
		chore->rolling = true;
		chore->only_one = one;
		chore->slot = (uint32_t)slot;
	}
	return begin_chore(request, chore);
}

void service_restart_pool(struct daemon *daemon, struct pool *pool)
{
	struct chore *chore = chore_new(daemon, pool);
	if (chore)
		chore->rolling = true;
	else
		log_pool(LOG_ERR, pool, "out of memory: its workers are not restarted");
}

static void answer_number(struct ticket *ticket, const char *key, uint64_t number)
{
	struct sendq *out = ticket_value(ticket);
	msgpack_sbuffer buffer;
	msgpack_packer packer;

	if (out) {
		msgpack_sbuffer_init(&buffer);
		msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
		msgpack_pack_map(&packer, 1);
		status_pack_text(&packer, key);
		msgpack_pack_uint64(&packer, number);
		sendq_copy(out, buffer.data, buffer.size);
		msgpack_sbuffer_destroy(&buffer);
	}
	ticket_close(ticket);
}

static void answer_broken(struct chore *chore, const char *why)
{
	struct error error;
	error_say(&error, ERROR_UNAVAILABLE, RAN_MAYBE, "pool %s: a worker could not be started: %s", chore->pool->name, why);
	ticket_answer_error(&chore->ticket, &error);
}

static bool is_settled(const struct slot *slot)
{
	return slot->broken || slot->state == SLOT_READY;
}

/* Waits until all slots are there, or have failed to be. */
static void run_settling(struct chore *chore)
{
	const struct pool *pool = chore->pool;
	bool broken = false;

	for (uint32_t i = 0; i < pool->size; i++) {
		if (!is_settled(pool->slots[i]))
			return;
		broken = broken || pool->slots[i]->broken;
	}
	if (broken)
		answer_broken(chore, pool->fault);
	else
		answer_number(&chore->ticket, "workers", pool->size);
	chore_free(chore);
}

static void run_rolling(struct chore *chore)
{
	const struct pool *pool = chore->pool;

	for (; chore->slot < pool->size; chore->slot++) {
		struct slot *slot = pool->slots[chore->slot];
		if (!chore->begun) {
			chore->begun = true;
			chore->generation = slot_restart(slot);
			slot = pool->slots[chore->slot];
		}
		const bool failed = slot->no_successor && !slot->successor;
		if (!failed && (slot->generation < chore->generation || !is_settled(slot)))
			return;
		if (slot->broken || failed) {
			answer_broken(chore, slot->last_failure);
			chore_free(chore);
			return;
		}
		chore->begun = false;
		chore->done++;
		if (chore->only_one)
			break;
	}
	log_pool(LOG_INFO, pool, "%u worker%s restarted", chore->done, chore->done == 1 ? "" : "s");
	answer_number(&chore->ticket, "restarted", chore->done);
	chore_free(chore);
}

void service_run_chores(struct daemon *daemon)
{
	struct chore *chore, *next;

	for (chore = TAILQ_FIRST(&daemon->chores); chore; chore = next) {
		next = TAILQ_NEXT(chore, link);
		if (chore->rolling)
			run_rolling(chore);
		else
			run_settling(chore);
	}
}

void service_forget_pool(struct daemon *daemon, struct pool *pool)
{
	struct chore *chore, *next;
	struct error error;

	for (chore = TAILQ_FIRST(&daemon->chores); chore; chore = next) {
		next = TAILQ_NEXT(chore, link);
		if (chore->pool != pool)
			continue;
		error_say(&error, ERROR_CANCELLED, RAN_MAYBE, "pool %s was removed", pool->name);
		ticket_answer_error(&chore->ticket, &error);
		chore_free(chore);
	}
}

/* ---- about the daemon ---- */

static void pack_names(msgpack_packer *packer, const char *key, char *names)
{
	char *rest = NULL;
	uint32_t n = 0;

	for (const char *p = names; *p; p++)
		n += *p == ' ';
	status_pack_text(packer, key);
	msgpack_pack_array(packer, n);
	for (char *name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest))
		status_pack_text(packer, name);
}

static int on_reload(struct request *request)
{
	struct daemon_report report;

	if (daemon_reload(request->daemon, &report) < 0) {
		error_say(&request->error, ERROR_FAILED, RAN_NO, "nothing has changed: %s", report.fault);
		return -1;
	}
	msgpack_pack_map(request->result, 5);
	pack_names(request->result, "started", report.started);
	pack_names(request->result, "stopped", report.stopped);
	pack_names(request->result, "resized", report.resized);
	pack_names(request->result, "restarted", report.replaced);
	pack_names(request->result, "unchanged", report.unchanged);
	return 0;
}

static int on_shutdown(struct request *request)
{
	log_say(LOG_NOTICE, "session %llu asks the daemon to stop", (unsigned long long)request->session->client.id);
	daemon_stop(request->daemon, false);
	msgpack_pack_true(request->result);
	return 0;
}

static int on_lacking(struct request *request)
{
	error_say(&request->error, ERROR_NO_SUCH_METHOD, RAN_NO, "this daemon (%s) does not have %.*s yet", OBJPOOL_VERSION,
		  (int)request->rpc->method.size, (const char *)request->rpc->method.bytes);
	return -1;
}

/* ---- the table ---- */

static const struct {
	const char *name;
	method_fn *run;
	bool admin; /* only for sessions that `admin =` lets */
} methods[] = {
	{"objpool.hello", on_hello, false},       {"objpool.ping", on_ping, false},
	{"objpool.pools", on_pools, false},       {"objpool.describe", on_describe, false},
	{"objpool.status", on_status, false},     {"objpool.cancel", on_cancel, false},
	{"objpool.scale", on_scale, true},        {"objpool.restart", on_restart, true},
	{"objpool.reload", on_reload, true},      {"objpool.shutdown", on_shutdown, true},
	{"objpool.create", on_lacking, false},    {"objpool.drop", on_lacking, false},
	{"objpool.lease", on_lease, false},       {"objpool.release", on_release, false},
	{"objpool.forget", on_forget, true},    {"objpool.metrics", on_lacking, false},
};

static bool may_administer(const struct session *session)
{
	const enum config_admin admin = (enum config_admin)session->daemon->config.admin;
	return admin == ADMIN_ALL || (admin == ADMIN_UNIX && session->is_unix);
}

static int run(struct request *request)
{
	const struct rpc *rpc = request->rpc;

	request->args = reader_of(rpc->params);
	if (read_array(&request->args, &request->count) < 0) {
		error_say(&request->error, ERROR_BAD_REQUEST, RAN_NO, "params must be an array of arguments");
		return -1;
	}
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
		if (!span_is(rpc->method, methods[i].name))
			continue;
		if (!methods[i].admin || may_administer(request->session))
			return methods[i].run(request);
		error_say(&request->error, ERROR_DENIED, RAN_NO, "this connection may not call %s (see admin in objpoold.conf(5))",
			  methods[i].name);
		return -1;
	}
	error_say(&request->error, ERROR_NO_SUCH_METHOD, RAN_NO, "the daemon has no method \"%.*s\"",
		  (int)(rpc->method.size < 80 ? rpc->method.size : 80), (const char *)rpc->method.bytes);
	return -1;
}

int service_request(struct session *session, struct rpc *rpc)
{
	struct request request = {.session = session, .daemon = session->daemon, .rpc = rpc};
	struct ticket ticket;
	msgpack_sbuffer buffer;
	msgpack_packer packer;
	int r = 0;

	if (rpc->type == RPC_REQUEST && idmap_get(&session->client.inflight, rpc->msgid))
		return -EEXIST;
	msgpack_sbuffer_init(&buffer);
	msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
	request.result = &packer;
	const int done = run(&request);
	if (done < 0) {
		r = request_refuse(&session->client, rpc, &request.error);
	} else if (done == 0 && rpc->type == RPC_REQUEST) {
		r = ticket_open(&ticket, &session->client, rpc, on_chore_abandoned);
		if (r == 0)
			ticket_answer_span(&ticket, NULL, (struct span){.bytes = (uint8_t *)buffer.data, .size = buffer.size});
	}
	msgpack_sbuffer_destroy(&buffer);
	return r;
}
