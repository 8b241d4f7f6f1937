/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/admin/admin.h"
#include "daemon/supervisor/base/packtext.h"
#include "daemon/supervisor/connections/session_identity.h"

#include <string.h>

/* ---- objpool.whoami ---- */

static void pack_words(const struct config_words *list, msgpack_packer *result)
{
	msgpack_pack_array(result, list->count);
	for (uint32_t i = 0; i < list->count; i++)
		pack_text(result, list->words[i].text);
}

static void pack_pattern(const struct rule *rule, msgpack_packer *result)
{
	const size_t pool = strlen(rule->pool), method = rule->method ? strlen(rule->method) + 1 : 0;

	msgpack_pack_str(result, pool + method);
	msgpack_pack_str_body(result, rule->pool, pool);
	if (method > 0) {
		msgpack_pack_str_body(result, ".", 1);
		msgpack_pack_str_body(result, rule->method, method - 1);
	}
}

static void pack_rules(const struct rules *list, msgpack_packer *result)
{
	msgpack_pack_array(result, list->count);
	for (uint32_t i = 0; i < list->count; i++)
		pack_pattern(&list->rules[i], result);
}

static void pack_rights(const struct rights *rights, msgpack_packer *result)
{
	uint32_t n = 0;

	for (int i = 0; i < RIGHTS; i++)
		n += rights->of[i].count > 0;
	msgpack_pack_map(result, n);
	for (int i = 0; i < RIGHTS; i++) {
		if (rights->of[i].count == 0)
			continue;
		pack_text(result, right_name((enum right)i));
		pack_rules(&rights->of[i], result);
	}
}

/* Where nothing but `admin` and `create` of the configuration limits the client. `code`: it may choose code.
 * Who is connected is shown to admins alone, so the right `watch` is theirs, too. */
static void pack_free_rights(bool admin, bool create, bool code, msgpack_packer *result)
{
	const bool may[RIGHT_DENY] = {[RIGHT_CALL] = true,     [RIGHT_ALL] = true,      [RIGHT_DESCRIBE] = true,
				      [RIGHT_DIRECT] = true,   [RIGHT_WATCH] = admin,   [RIGHT_ADMIN] = admin,
				      [RIGHT_OPERATE] = admin, [RIGHT_CREATE] = create, [RIGHT_CODE] = create && code};
	uint32_t n = 0;

	for (int i = 0; i < RIGHT_DENY; i++)
		n += may[i];
	msgpack_pack_map(result, n);
	for (int i = 0; i < RIGHT_DENY; i++) {
		if (!may[i])
			continue;
		pack_text(result, right_name((enum right)i));
		msgpack_pack_array(result, 1);
		pack_text(result, right_has_methods((enum right)i) ? "*.*" : "*");
	}
}

static void pack_user(const struct session *session, msgpack_packer *result)
{
	static const struct config_words none = {0};
	const struct identity *identity = session->known.identity;
	const char *by, *name = session_identity_name(session, &by);

	pack_text(result, "user");
	if (name)
		pack_text(result, name);
	else
		msgpack_pack_nil(result);
	pack_text(result, "by");
	pack_text(result, by);
	pack_text(result, "roles");
	pack_words(identity ? &identity->roles : &none, result);
}

static void pack_number(const char *key, uint64_t number, msgpack_packer *result)
{
	pack_text(result, key);
	msgpack_pack_uint64(result, number);
}

/* Those that there are. */
static void pack_limits(const struct quota_limits *limits, msgpack_packer *result)
{
	const struct quota_rate *rate = &limits->rate;

	msgpack_pack_map(result, (size_t)(limits->max_sessions > 0) + (limits->max_inflight > 0) + (limits->max_memory > 0) +
					 (rate->calls > 0 ? 2 : 0) + (limits->max_priority != 0));
	if (limits->max_sessions > 0)
		pack_number("max_sessions", limits->max_sessions, result);
	if (limits->max_inflight > 0)
		pack_number("max_inflight", limits->max_inflight, result);
	if (limits->max_memory > 0)
		pack_number("max_memory", limits->max_memory, result);
	if (limits->max_priority != 0) {
		pack_text(result, "max_priority");
		msgpack_pack_int(result, limits->max_priority);
	}
	if (rate->calls == 0)
		return;
	pack_text(result, "rate");
	msgpack_pack_double(result, (double)rate->calls * (double)SECOND / (double)rate->period);
	pack_number("burst", rate->burst, result);
}

int admin_whoami(struct request *request)
{
	static const struct quota_limits none = {0};
	const struct session *session = request->session;
	const struct config *config = &request->daemon->config;
	msgpack_packer *result = request->result;

	msgpack_pack_map(result, 5);
	pack_user(session, result);
	pack_text(result, "rights");
	if (session->client.rights)
		pack_rights(session->client.rights, result);
	else
		pack_free_rights(admin_is_allowed(session, config->admin), admin_is_allowed(session, config->create),
				 session_identity_owns_daemon(session), result);
	pack_text(result, "limits");
	pack_limits(session->known.identity ? &session->known.identity->limits : &none, result);
	return 0;
}

/* ---- objpool.acl ---- */

static int read_question(struct request *request, struct span *user, struct span *right, struct span *name)
{
	if (request->count == 3 && read_text(&request->args, user) == 0 && read_text(&request->args, right) == 0 &&
	    read_text(&request->args, name) == 0)
		return 0;
	return admin_refuse_params(request, "a user, a right, and a pool.method or a pool");
}

static const struct identity *find_user(struct request *request, struct span name)
{
	const struct users *users = request->daemon->users;
	const struct identity *identity = users ? users_named(users, name) : NULL;
	char room[ERROR_SHOWN];

	if (!identity)
		error_say(&request->error, ERROR_BAD_ARGUMENT, RAN_NO, "there is no [user %s]", error_shown(name, room));
	return identity;
}

int admin_acl(struct request *request)
{
	struct span user, right, name;
	struct ruling ruling;

	if (read_question(request, &user, &right, &name) < 0)
		return -1;
	const struct identity *identity = find_user(request, user);
	if (!identity)
		return -1;
	if (rights_answer(identity->rights, right, name, &ruling) < 0)
		return admin_refuse_params(request, "as right one of " RIGHTS_NAMES);
	msgpack_pack_map(request->result, 2);
	pack_text(request->result, "allowed");
	(ruling.allowed ? msgpack_pack_true : msgpack_pack_false)(request->result);
	pack_text(request->result, "where");
	if (ruling.where)
		pack_text(request->result, ruling.where);
	else
		msgpack_pack_nil(request->result);
	return 0;
}
