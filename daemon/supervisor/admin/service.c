/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/admin/service.h"

#include "daemon/core/calls/direct.h"
#include "daemon/core/calls/lease.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/records/remote.h"
#include "daemon/core/entry/request.h"
#include "daemon/supervisor/admin/admin.h"
#include "daemon/supervisor/admin/admin_log.h"
#include "daemon/supervisor/connections/client_files.h"
#include "daemon/supervisor/connections/session_identity.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/view/metrics.h"
#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/admin/pending_admin.h"
#include "daemon/supervisor/admin/reload.h"
#include "daemon/supervisor/admin/service_call.h"
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

int admin_check(struct request *request, enum right right, struct span name)
{
	return rights_check(request->session->client.rights, right, name, (struct span){0}, &request->error) < 0 ? -1 : 0;
}

int admin_check_sight(struct request *request, struct span name)
{
	const struct rights *rights = request->session->client.rights;

	return rights_have_any(rights, RIGHT_WATCH) ? 0 : admin_check(request, RIGHT_DESCRIBE, name);
}

void admin_take_own_host(const struct request *request, struct span *name)
{
	const struct remote *remote = request->daemon->core.remote;
	const size_t n = remote ? remote->self.size : 0;

	if (n > 0 && name->size > n && name->bytes[name->size - n - 1] == '@' &&
	    memcmp(name->bytes + name->size - n, remote->self.bytes, n) == 0)
		name->size -= n + 1;
}

/* Is that the name of a pool of other hosts, one with an @ or that of a section [remote]? */
static bool is_elsewhere(const struct request *request, struct span name)
{
	const struct remote *remote = request->daemon->core.remote;

	return remote && (memchr(name.bytes, '@', name.size) || remote->offers(remote, name));
}

struct pool *admin_pool(struct request *request, enum right right)
{
	struct span name;
	char room[ERROR_SHOWN];
	struct pool *pool;

	if (request->count == 0 || read_text(&request->args, &name) < 0) {
		admin_refuse_params(request, "the name of a pool first");
		return NULL;
	}
	request->count--;
	admin_take_own_host(request, &name);
	const int r = right == RIGHT_WATCH ? admin_check_sight(request, name) : admin_check(request, right, name);
	if (r < 0)
		return NULL;
	pool = pool_find(&request->daemon->core, name);
	if (!pool)
		error_say(&request->error, ERROR_NO_SUCH_POOL, RAN_NO,
			  is_elsewhere(request, name) ? "pool \"%s\" is none of this host: ask the daemon of a host that has it"
						      : "there is no pool \"%s\"",
			  error_shown(name, room));
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

static int use_token(struct request *request, struct span token)
{
	const int r = session_identity_use_token(request->session, token, &request->error);

	request->over = r == -EACCES;
	return r < 0 ? -1 : 0;
}

/* What a client says in hello beside what is kept at once. */
struct hello {
	bool about_fds;
	struct span token; /* without bytes: it gives none */
};

static int read_form(struct request *request, struct reader *value)
{
	static const char *const names[ERROR_FORMS] = {
		[ERRORS_AS_STRING] = "string", [ERRORS_AS_MAP] = "map", [ERRORS_AS_PAIR] = "pair"};
	struct span text = {0};

	(void)read_text(value, &text);
	for (int i = 0; i < ERROR_FORMS; i++)
		if (span_is(text, names[i])) {
			request->session->client.error_form = (enum error_form)i;
			return 0;
		}
	return admin_refuse_params(request, "errors as \"string\", \"map\" or \"pair\"");
}

static int read_hello_key(struct request *request, struct span key, struct reader *value, struct hello *hello)
{
	struct client *client = &request->session->client;
	struct span text;
	bool fds;

	if (read_nil(value) == 0)
		return 0; /* it is not given */
	if (span_is(key, "errors"))
		return read_form(request, value);
	if (span_is(key, "token"))
		return read_text(value, &hello->token) < 0 ? admin_refuse_params(request, "token as a string") : 0;
	if (span_is(key, "fds")) {
		if (read_bool(value, &fds) < 0)
			return admin_refuse_params(request, "fds as true or false");
		if (request->session->is_unix)
			client_files_offer(client, &request->session->intake, fds);
		hello->about_fds = true;
	} else if (span_is(key, "client") && read_text(value, &text) == 0) {
		snprintf(client->name, sizeof client->name, "%.*s", (int)(text.size < CLIENT_NAME ? text.size : CLIENT_NAME),
			 (const char *)text.bytes);
	}
	return 0;
}

/* The token comes last, wherever it stands: a refusal has the form that `errors` says. */
static int read_hello(struct request *request, uint32_t n, struct hello *hello)
{
	struct span key, value;

	for (; n > 0; n--) {
		if (read_text(&request->args, &key) < 0)
			return admin_refuse_params(request, "a map with string keys");
		struct reader look = request->args;
		if (read_value(&request->args, &value) < 0)
			return admin_refuse_params(request, "a map");
		if (read_hello_key(request, key, &look, hello) < 0)
			return -1;
	}
	return hello->token.bytes ? use_token(request, hello->token) : 0;
}

static void pack_limits(const struct client *client, msgpack_packer *packer)
{
	const struct core_limits *limits = &client->core->limits;
	const uint32_t of_user = client->quota ? client->quota->limits.max_inflight : 0;
	msgpack_pack_map(packer, 5);
	pack_text(packer, "max_message");
	msgpack_pack_uint64(packer, limits->max_message);
	pack_text(packer, "max_inflight");
	msgpack_pack_uint64(packer, of_user && of_user < limits->max_inflight ? of_user : limits->max_inflight);
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
	struct hello hello = {0};
	uint32_t n = 0;

	if (request->count > 0 && read_map(&request->args, &n) < 0)
		return admin_refuse_params(request, "a map: {client: name, errors: \"map\"}");
	if (read_hello(request, n, &hello) < 0)
		return -1;
	request->over = client_enter(&request->session->client, &request->error) < 0;
	if (request->over)
		return -1;
	core_trace(&request->daemon->core, NULL, NULL, "session %llu: calls itself \"%s\"",
		   (unsigned long long)request->session->client.id, request->session->client.name);
	msgpack_pack_map(request->result, hello.about_fds ? 8 : 6);
	if (hello.about_fds)
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
	status_pack_pool_names(request->daemon, request->session->client.rights, request->result);
	pack_text(request->result, "limits");
	pack_limits(&request->session->client, request->result);
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
	if (ticket && ticket->remote) {
		client->core->remote->cancel(ticket);
	} else if (ticket) {
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
	if (admin_check_sight(request, (struct span){0}) < 0)
		return -1;
	direct_take_all_counts(&request->daemon->core);
	char *text = metrics_text(request->daemon, request->session->client.rights, METRICS_OPENMETRICS, &size);

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

static int on_reload_code(struct request *request)
{
	struct pool *pool = admin_pool(request, RIGHT_ADMIN);
	char reason[RELOAD_REASON];

	if (!pool)
		return -1;
	if (request->count > 0)
		return admin_refuse_params(request, "a pool");
	struct changes *changes = reload_code(request->daemon, pool, reason);
	if (changes) {
		changes_answer_to(changes, &request->session->client, request->rpc);
		return 1;
	}
	error_say(&request->error, ERROR_FAILED, RAN_NO, "%s", reason);
	return -1;
}

static int on_shutdown(struct request *request)
{
	request->daemon->ops->stop(request->daemon, false);
	msgpack_pack_true(request->result);
	return 0;
}

/* ---- the table ---- */

/* Where there are no users: everybody may, or those that `admin`, or `create`, in the configuration let. */
enum { ANYBODY, ADMINS, CREATORS };

/* Where there are users: what a method needs. */
enum need {
	NEEDS_NOTHING,
	NEEDS_OWN,  /* it ends something of the client's own */
	NEEDS_POOL, /* a right to what it names: it asks admin_pool, or admin_check */
	NEEDS_WATCH,
	NEEDS_OPERATE,
};

/* What a method does. */
enum {
	BEGINS = 1, /* something that a daemon which stops does not begin any more */
	STEERS = 2, /* changes something for others: the log is told who did it */
	STREAMS = 4, /* may answer with a stream, if objpool.call asks for one */
	TRAVELS = 8, /* is about a pool, its first parameter, which may be one of other hosts */
};

struct own_method {
	const char *name;
	admin_fn *run;
	int who;
	enum need need;
	int does;
};

static const struct own_method methods[] = {
	{"objpool.hello", on_hello, ANYBODY, NEEDS_NOTHING, 0},
	{"objpool.ping", on_ping, ANYBODY, NEEDS_NOTHING, 0},
	{"objpool.whoami", admin_whoami, ANYBODY, NEEDS_NOTHING, 0},
	{"objpool.acl", admin_acl, ANYBODY, NEEDS_WATCH, 0},
	{"objpool.pools", admin_pools, ANYBODY, NEEDS_POOL, 0},
	{"objpool.describe", admin_describe, ANYBODY, NEEDS_POOL, TRAVELS},
	{"objpool.status", admin_status, ANYBODY, NEEDS_POOL, TRAVELS},
	{"objpool.cancel", on_cancel, ANYBODY, NEEDS_OWN, 0},
	{"objpool.lease", admin_lease, ANYBODY, NEEDS_POOL, BEGINS | TRAVELS},
	{"objpool.release", admin_release, ANYBODY, NEEDS_OWN, TRAVELS},
	{"objpool.attach", admin_attach, ANYBODY, NEEDS_POOL, BEGINS},
	{"objpool.detached", admin_detached, ANYBODY, NEEDS_OWN, 0},
	{"objpool.metrics", on_metrics, ANYBODY, NEEDS_POOL, 0},
	{"objpool.logs", admin_logs, ADMINS, NEEDS_WATCH, 0},
	{"objpool.events", admin_events, ANYBODY, NEEDS_POOL, STREAMS},
	{"objpool.hosts", admin_hosts, ANYBODY, NEEDS_POOL, 0},
	{"objpool.clients", admin_clients, ADMINS, NEEDS_WATCH, 0},
	{"objpool.create", admin_create, CREATORS, NEEDS_POOL, BEGINS | STEERS},
	{"objpool.drop", admin_drop, ANYBODY, NEEDS_POOL, STEERS},
	{"objpool.scale", admin_scale, ADMINS, NEEDS_POOL, BEGINS | STEERS},
	{"objpool.restart", admin_restart, ADMINS, NEEDS_POOL, BEGINS | STEERS},
	{"objpool.reload_code", on_reload_code, ADMINS, NEEDS_POOL, BEGINS | STEERS},
	{"objpool.forget", admin_forget, ADMINS, NEEDS_POOL, STEERS | TRAVELS},
	{"objpool.pause", admin_pause, ADMINS, NEEDS_POOL, BEGINS | STEERS},
	{"objpool.resume", admin_resume, ADMINS, NEEDS_POOL, STEERS},
	{"objpool.kick", admin_kick, ADMINS, NEEDS_OPERATE, STEERS},
	{"objpool.log_level", admin_log_level, ADMINS, NEEDS_OPERATE, STEERS},
	{"objpool.config", admin_config, ADMINS, NEEDS_OPERATE, 0},
	{"objpool.drain", admin_drain, ADMINS, NEEDS_OPERATE, STEERS},
	{"objpool.reload", on_reload, ADMINS, NEEDS_OPERATE, BEGINS | STEERS},
	{"objpool.shutdown", on_shutdown, ADMINS, NEEDS_OPERATE, STEERS},
};

static const struct own_method *find_method(struct span name)
{
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (span_is(name, methods[i].name))
			return &methods[i];
	return NULL;
}

/* The same of objpool.call ["objpool", name, ...]. */
static const struct own_method *find_called(struct span name)
{
	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (span_is(name, methods[i].name + strlen("objpool.")))
			return &methods[i];
	return NULL;
}

/* Is a method refused that begins something, as the daemon is stopping? */
static bool refuse_begin(struct request *request, const char *name)
{
	if (!request->daemon->core.draining)
		return false;
	error_say(&request->error, ERROR_UNAVAILABLE, RAN_NO, "the daemon is stopping: %s comes too late", name);
	return true;
}

static int check_policy(struct request *request, const struct own_method *method)
{
	const struct config *config = &request->daemon->config;
	const bool for_admins = method->who == ADMINS;

	if (method->who == ANYBODY || admin_is_allowed(request->session, for_admins ? config->admin : config->create))
		return 0;
	error_say(&request->error, ERROR_DENIED, RAN_NO, "this connection may not call %s (see %s in objpoold.conf(5))",
		  method->name, for_admins ? "admin" : "create");
	return -1;
}

static bool has_something(const struct client *client)
{
	return !TAILQ_EMPTY(&client->tickets) || !TAILQ_EMPTY(&client->leases) || !TAILQ_EMPTY(&client->directs);
}

/* A client that is no user's may only ask who it is, and end what it had before it lost its rights. */
static bool is_for_nobody(const struct client *client, const struct own_method *method)
{
	return method && (method->need == NEEDS_NOTHING || (method->need == NEEDS_OWN && has_something(client)));
}

/* Only what costs something counts in the user's rate: not what every client does, or needs to give back what it has. */
static int check_rate(struct request *request, const struct own_method *method)
{
	struct quota *quota = request->session->client.quota;

	if (!quota || method->need == NEEDS_NOTHING || method->need == NEEDS_OWN)
		return 0;
	return quota_take_request(quota, &request->error) < 0 ? -1 : 0;
}

/* `method` is NULL if there is none of that name. */
static int check_rights(struct request *request, const struct own_method *method)
{
	const struct client *client = &request->session->client;
	const size_t before = strlen("objpool.");
	const struct span name = {.bytes = request->rpc->method.bytes + before, .size = request->rpc->method.size - before};

	if (!client->rights->user && !is_for_nobody(client, method)) {
		rights_say_denied(client->rights, RIGHT_CALL, request->rpc->method, (struct span){0}, NULL, &request->error);
		return -1;
	}
	if (method && method->need == NEEDS_WATCH)
		return admin_check(request, RIGHT_WATCH, name);
	return method && method->need == NEEDS_OPERATE ? admin_check(request, RIGHT_OPERATE, name) : 0;
}

static int no_such_method(struct request *request, struct span name)
{
	char room[ERROR_SHOWN];

	error_say(&request->error, ERROR_NO_SUCH_METHOD, RAN_NO, "the daemon has no method \"%s\"", error_shown(name, room));
	return -1;
}

/* Makes the request that for the method which objpool.call names. 0, or -1: the error is made. */
static int unwrap(struct request *request)
{
	const struct own_method *method;
	struct service_call call;

	if (!span_is(request->rpc->method, "objpool.call"))
		return 0;
	if (service_call_read(request, &call) < 0)
		return -1;
	method = find_called(call.method);
	if (!method)
		return request->session->client.rights && check_rights(request, NULL) < 0
			       ? -1
			       : no_such_method(request, call.method);
	request->rpc->method = (struct span){.bytes = (const uint8_t *)method->name, .size = strlen(method->name)};
	request->rpc->params = call.args;
	if (!request->streams || method->does & STREAMS)
		return 0;
	error_say(&request->error, ERROR_BAD_REQUEST, RAN_NO, "%s gives one result, and no stream", method->name);
	return -1;
}

/* ---- what is for other hosts ---- */

/* Whether or not there is such a pool. */
static int check_travel(struct request *request, const struct own_method *method, struct span pool)
{
	if (method->run == admin_status)
		return admin_check_sight(request, pool);
	if (method->need == NEEDS_OWN)
		return 0;
	return admin_check(request, method->run == admin_lease    ? RIGHT_CALL
				    : method->run == admin_forget ? RIGHT_ADMIN
								  : RIGHT_DESCRIBE, pool);
}

/* 1: the pool that the request names is one of other hosts, which have got the request. 0: it is for this one. */
static int travel(struct request *request, const struct own_method *method)
{
	struct core *core = &request->daemon->core;
	struct reader look = request->args;
	struct target target;
	struct span name;

	if (request->count == 0 || read_text(&look, &name) < 0 || (!core->remote && !memchr(name.bytes, '@', name.size)))
		return 0; /* of parameters that are none, the method tells */
	if (target_parse_bare(name, &target, &request->error) < 0)
		return target.host.size > 0 ? -1 : 0;
	const struct pool *pool = pool_find(core, target.pool);
	const bool offered = !pool && core->remote && core->remote->offers(core->remote, target.pool);
	if (target.host.size == 0 && !offered)
		return 0;
	if (check_travel(request, method, target.pool) < 0)
		return -1;
	const struct client *client = &request->session->client;
	int away = offered ? 1 : remote_is_for_others(core, &target, pool, &request->error);
	if (away == 0 && method->run == admin_release && pool && lease_is_with_gateway(client, pool, -1))
		away = 1;
	if (away > 0 && remote_check_client(client, &target, &request->error) < 0)
		return -1;
	if (away <= 0)
		return away < 0 ? -1 : 0;
	return core->remote->send(core->remote, &request->session->client, request->rpc, NULL, false, &request->error) < 0 ? -1 : 1;
}

static int run(struct request *request)
{
	if (unwrap(request) < 0)
		return -1;
	const struct rpc *rpc = request->rpc;
	const struct own_method *method = find_method(rpc->method);

	request->args = reader_of(rpc->params);
	if (read_array(&request->args, &request->count) < 0) {
		error_say(&request->error, ERROR_BAD_REQUEST, RAN_NO, "params must be an array of arguments");
		return -1;
	}
	if (request->session->client.rights && check_rights(request, method) < 0)
		return -1;
	if (!method)
		return no_such_method(request, rpc->method);
	request->steers = method->does & STEERS;
	if (check_policy(request, method) < 0 || check_rate(request, method) < 0 ||
	    (method->does & BEGINS && refuse_begin(request, method->name)))
		return -1;
	const int away = method->does & TRAVELS ? travel(request, method) : 0;
	return away != 0 ? away : method->run(request);
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
	if (request.steers)
		admin_log(&request, done);
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
	return request.over ? -EACCES : r;
}
