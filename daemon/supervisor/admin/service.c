/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/admin/service.h"

#include "daemon/core/calls/direct.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/entry/request.h"
#include "daemon/supervisor/admin/admin.h"
#include "daemon/supervisor/connections/client_files.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/view/metrics.h"
#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/admin/pending_admin.h"
#include "daemon/supervisor/admin/reload.h"
#include "daemon/supervisor/view/status.h"

#include <errno.h>
#include <stdlib.h>

/* Of docs/PROTOCOL.md. A minor version has all that those before it have; 1: direct channels;
 * 2: with rings. */
enum { PROTOCOL_MAJOR = 1, PROTOCOL_MINOR = 2 };

int admin_refuse_params(struct request *request, const char *what)
{
	error_say(&request->error, ERROR_BAD_ARGUMENT, RAN_NO, "%.*s takes %s", (int)request->rpc->method.size,
		  (const char *)request->rpc->method.bytes, what);
	return -1;
}

struct pool *admin_pool(struct request *request)
{
	struct span name;
	struct pool *pool;

	if (request->count == 0 || read_text(&request->args, &name) < 0) {
		admin_refuse_params(request, "the name of a pool first");
		return NULL;
	}
	request->count--;
	pool = pool_find(&request->daemon->core, name);
	if (!pool)
		error_say(&request->error, ERROR_NO_SUCH_POOL, RAN_NO, "there is no pool \"%.*s\"",
			  (int)(name.size < 80 ? name.size : 80), (const char *)name.bytes);
	return pool;
}

int admin_no_memory(struct request *request)
{
	error_no_memory(&request->error, RAN_NO);
	return -1;
}

bool admin_is_allowed(const struct session *session, uint32_t policy)
{
	return policy == ADMIN_ALL || (policy == ADMIN_UNIX && session->is_unix);
}

/* ---- about the connection ---- */

static int read_hello(struct request *request, uint32_t n, bool *about_fds)
{
	struct client *client = &request->session->client;
	struct span key, text, value;

	for (; n > 0; n--) {
		if (read_text(&request->args, &key) < 0)
			return admin_refuse_params(request, "a map with string keys");
		struct reader look = request->args;
		if (read_value(&request->args, &value) < 0)
			return admin_refuse_params(request, "a map");
		if (read_nil(&look) == 0)
			continue; /* it is not given */
		if (span_is(key, "errors")) {
			if (read_text(&look, &text) < 0 || (!span_is(text, "map") && !span_is(text, "string")))
				return admin_refuse_params(request, "errors as \"map\" or \"string\"");
			client->error_maps = span_is(text, "map");
		} else if (span_is(key, "fds")) {
			bool fds;
			if (read_bool(&look, &fds) < 0)
				return admin_refuse_params(request, "fds as true or false");
			if (request->session->is_unix)
				client_files_offer(client, &request->session->intake, fds);
			*about_fds = true;
		} else if (span_is(key, "client") && read_text(&look, &text) == 0) {
			snprintf(client->name, sizeof client->name, "%.*s",
				 (int)(text.size < CLIENT_NAME ? text.size : CLIENT_NAME), (const char *)text.bytes);
		}
	}
	return 0;
}

static void pack_limits(const struct daemon *daemon, msgpack_packer *packer)
{
	const struct core_limits *limits = &daemon->core.limits;
	msgpack_pack_map(packer, 5);
	pack_text(packer, "max_message");
	msgpack_pack_uint64(packer, limits->max_message);
	pack_text(packer, "max_inflight");
	msgpack_pack_uint64(packer, limits->max_inflight);
	pack_text(packer, "max_pending");
	msgpack_pack_uint64(packer, limits->max_pending);
	pack_text(packer, "max_unsent");
	msgpack_pack_uint64(packer, limits->max_unsent);
	pack_text(packer, "max_depth");
	msgpack_pack_uint64(packer, SCAN_LEVELS);
}

static void pack_fds(const struct client *client, msgpack_packer *result)
{
	pack_text(result, "fds");
	(client->fds ? msgpack_pack_true : msgpack_pack_false)(result);
	pack_text(result, "fds_mark");
	msgpack_pack_uint16(result, client->fds_mark);
}

static int on_hello(struct request *request)
{
	bool about_fds = false;
	uint32_t n = 0;

	if (request->count > 0 && read_map(&request->args, &n) < 0)
		return admin_refuse_params(request, "a map: {client: name, errors: \"map\"}");
	if (read_hello(request, n, &about_fds) < 0)
		return -1;
	core_trace(&request->daemon->core, NULL, NULL, "session %llu: calls itself \"%s\"",
		   (unsigned long long)request->session->client.id, request->session->client.name);
	msgpack_pack_map(request->result, about_fds ? 8 : 6);
	if (about_fds)
		pack_fds(&request->session->client, request->result);
	pack_text(request->result, "server");
	pack_text(request->result, "objpool");
	pack_text(request->result, "version");
	pack_text(request->result, OBJPOOL_VERSION);
	pack_text(request->result, "protocol");
	msgpack_pack_array(request->result, 2);
	msgpack_pack_int(request->result, PROTOCOL_MAJOR);
	msgpack_pack_int(request->result, PROTOCOL_MINOR);
	pack_text(request->result, "session");
	msgpack_pack_uint64(request->result, request->session->client.id);
	pack_text(request->result, "pools");
	status_pack_pool_names(request->daemon, request->result);
	pack_text(request->result, "limits");
	pack_limits(request->daemon, request->result);
	return 0;
}

static int on_ping(struct request *request)
{
	const struct span params = request->rpc->params;

	if (scan_nesting(params.bytes, params.size) > SCAN_LEVELS + 1) {
		error_say(&request->error, ERROR_BAD_REQUEST, RAN_NO, "a value is nested deeper than %d levels", SCAN_LEVELS);
		return -1;
	}
	return request->result->callback(request->result->data, (const char *)params.bytes, params.size);
}

static int on_cancel(struct request *request)
{
	struct client *client = &request->session->client;
	struct error reason;
	uint64_t msgid;

	if (request->count == 2)
		return admin_cancel_direct(request);
	if (request->count != 1 || read_whole(&request->args, &msgid) < 0 || msgid > UINT32_MAX)
		return admin_refuse_params(
			request, "the msgid of a call in flight, or a direct channel and the number of a message on it");
	struct ticket *ticket = idmap_get(&client->inflight, msgid);
	if (ticket) {
		error_say(&reason, ERROR_CANCELLED, RAN_NO, "the call was cancelled by its caller");
		ticket->abandoned(ticket, &reason);
	}
	if (ticket)
		msgpack_pack_true(request->result);
	else
		msgpack_pack_false(request->result);
	return 0;
}

static int on_metrics(struct request *request)
{
	size_t size;
	direct_take_all_counts(&request->daemon->core);
	char *text = metrics_text(request->daemon, METRICS_OPENMETRICS, &size);

	if (!text)
		return admin_no_memory(request);
	msgpack_pack_str_with_body(request->result, text, size);
	free(text);
	return 0;
}

/* ---- about the daemon ---- */

/* The answer says what has changed, and so waits for what only constructors can say. */
static int on_reload(struct request *request)
{
	char reason[RELOAD_REASON];
	struct changes *changes = reload(request->daemon, reason);

	if (changes) {
		changes_answer_to(changes, &request->session->client, request->rpc);
		return 1;
	}
	error_say(&request->error, ERROR_FAILED, RAN_NO, "nothing has changed: %s", reason);
	return -1;
}

static int on_shutdown(struct request *request)
{
	log_say(LOG_NOTICE, "session %llu asks the daemon to stop", (unsigned long long)request->session->client.id);
	request->daemon->ops->stop(request->daemon, false);
	msgpack_pack_true(request->result);
	return 0;
}

/* ---- the table ---- */

/* Who may: everybody, or those that `admin`, or `create`, in the configuration let. */
enum { ANYBODY, ADMINS, CREATORS };

static const struct {
	const char *name;
	admin_fn *run;
	int who;
	bool begins; /* something that a daemon which stops does not begin any more */
} methods[] = {
	{"objpool.hello", on_hello, ANYBODY, false},          {"objpool.ping", on_ping, ANYBODY, false},
	{"objpool.pools", admin_pools, ANYBODY, false},      {"objpool.describe", admin_describe, ANYBODY, false},
	{"objpool.status", admin_status, ANYBODY, false},    {"objpool.cancel", on_cancel, ANYBODY, false},
	{"objpool.lease", admin_lease, ANYBODY, true},       {"objpool.release", admin_release, ANYBODY, false},
	{"objpool.attach", admin_attach, ANYBODY, true},     {"objpool.detached", admin_detached, ANYBODY, false},
	{"objpool.metrics", on_metrics, ANYBODY, false},      {"objpool.create", admin_create, CREATORS, true},
	{"objpool.drop", admin_drop, ANYBODY, false},        {"objpool.scale", admin_scale, ADMINS, true},
	{"objpool.restart", admin_restart, ADMINS, true},    {"objpool.forget", admin_forget, ADMINS, false},
	{"objpool.reload", on_reload, ADMINS, true},          {"objpool.shutdown", on_shutdown, ADMINS, false},
};

/* Is a method refused that begins something, as the daemon is stopping? */
static bool refuse_begin(struct request *request, const char *name)
{
	if (!request->daemon->core.draining)
		return false;
	error_say(&request->error, ERROR_UNAVAILABLE, RAN_NO, "the daemon is stopping: %s comes too late", name);
	return true;
}

static int deny(struct request *request, int who, const char *name)
{
	const struct config *config = &request->daemon->config;

	if (who == ANYBODY || admin_is_allowed(request->session, who == ADMINS ? config->admin : config->create))
		return 0;
	error_say(&request->error, ERROR_DENIED, RAN_NO, "this connection may not call %s (see %s in objpoold.conf(5))", name,
		  who == ADMINS ? "admin" : "create");
	return -1;
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
		if (deny(request, methods[i].who, methods[i].name) < 0 ||
		    (methods[i].begins && refuse_begin(request, methods[i].name)))
			return -1;
		return methods[i].run(request);
	}
	error_say(&request->error, ERROR_NO_SUCH_METHOD, RAN_NO, "the daemon has no method \"%.*s\"",
		  (int)(rpc->method.size < 80 ? rpc->method.size : 80), (const char *)rpc->method.bytes);
	return -1;
}

/* request_refuse tells of those that failed. */
static void log_done(const struct session *session, const struct rpc *rpc, const char *how)
{
	const bool notification = rpc->type == RPC_NOTIFICATION;

	core_trace(&session->daemon->core, NULL, NULL, "session %llu %s %u, %.*s: %s", (unsigned long long)session->client.id,
		   notification ? "notification" : "call", notification ? 0 : rpc->msgid,
		   (int)(rpc->method.size < 80 ? rpc->method.size : 80), (const char *)rpc->method.bytes, how);
}

int service_request(struct session *session, struct rpc *rpc)
{
	struct request request = {.session = session, .daemon = session->daemon, .rpc = rpc};
	struct ticket ticket;
	struct sendq result = {.account = session->client.account};
	msgpack_packer packer;
	int r = 0;

	if (rpc->type == RPC_REQUEST && idmap_get(&session->client.inflight, rpc->msgid))
		return -EEXIST;
	msgpack_packer_init(&packer, &result, sendq_write);
	request.result = &packer;
	const int done = run(&request);
	if (done >= 0)
		log_done(session, rpc, done > 0 ? "comes, and is answered later" : "answered at once");
	if (done < 0) {
		r = request_refuse(&session->client, rpc, &request.error);
	} else if (done == 0 && rpc->type == RPC_REQUEST) {
		r = ticket_open(&ticket, &session->client, rpc, ticket_on_abandoned);
		if (r == 0)
			ticket_answer_packed(&ticket, &result);
	}
	sendq_clear(&result);
	return r;
}
