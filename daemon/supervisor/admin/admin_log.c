/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/admin/admin_log.h"

#include "daemon/supervisor/config/address.h"
#include "daemon/supervisor/connections/session_identity.h"
#include "daemon/supervisor/http/http_call.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"
#include "proto/escape.h"

#include <stdio.h>

enum { WHO = 512, SHOWN = 240 /* bytes of the arguments, or of a reason */ };

static void describe_client(const struct session *session, char *text, size_t size)
{
	char peer[ADDRESS_TEXT], name[2 * CLIENT_NAME];
	const char *by, *user = session_identity_name(session, &by);

	session_identity_peer(session, peer, sizeof peer);
	(void)escape_text(name, sizeof name, session->client.name, strlen(session->client.name));
	snprintf(text, size, "%s%s%s%s%s%s%s%s%s", user ? "user " : "", user ? user : "", user ? " by " : "", user ? by : "",
		 user ? ", " : "", peer, name[0] ? ", \"" : "", name, name[0] ? "\"" : "");
}

/* Of a map, which may hold what is secret, only the pool that it names. */
static struct span pool_in_map(struct reader *reader)
{
	struct span key, value, pool = {0};
	uint32_t n;

	if (read_map(reader, &n) < 0)
		return pool;
	for (; n > 0 && read_text(reader, &key) == 0; n--) {
		struct reader look = *reader;
		if (read_value(reader, &value) < 0)
			return pool;
		if (span_is(key, "pool") && read_text(&look, &value) == 0)
			pool = value;
	}
	return pool;
}

/* " sim 8" */
static void describe_arguments(const struct rpc *rpc, char *text, size_t size)
{
	struct reader reader = reader_of(rpc->params);
	struct span value, word;
	uint64_t number;
	uint32_t count;
	size_t n = 0;

	text[0] = '\0';
	if (read_array(&reader, &count) < 0)
		return;
	for (; count > 0 && n + 4 < size && read_value(&reader, &value) == 0; count--) {
		struct reader look = reader_of(value), again = look, map = look;
		text[n++] = ' ';
		if (read_uint(&look, &number) == 0)
			n += (size_t)snprintf(text + n, size - n, "%llu", (unsigned long long)number);
		else if (read_text(&again, &word) == 0 || (word = pool_in_map(&map)).size > 0)
			n += escape_text(text + n, size - n, (const char *)word.bytes, word.size);
		else
			n += (size_t)snprintf(text + n, size - n, "...");
		n = n < size ? n : size - 1;
	}
}

void admin_log(const struct request *request, int done)
{
	const struct rpc *rpc = request->rpc;
	const struct error *error = &request->error;
	struct daemon *daemon = request->daemon;
	char who[WHO], arguments[SHOWN], reason[SHOWN] = "";

	if (done < 0 && error->code == ERROR_DENIED)
		return;
	if (!log_wants(LOG_NOTICE) || !log_quota_take(&daemon->steered, daemon->core.now, "requests of those who administer"))
		return;
	describe_client(request->session, who, sizeof who);
	describe_arguments(rpc, arguments, sizeof arguments);
	if (done < 0)
		(void)escape_text(reason, sizeof reason, (const char *)error->message.bytes, error->message.size);
	log_say(LOG_NOTICE, "session %llu (%s): %.*s%s: %s%s%s", (unsigned long long)request->session->client.id, who,
		SPAN_TEXT(rpc->method, 40), arguments,
		done < 0   ? error_code_name(error->code)
		: done > 0 ? "accepted"
			   : "done",
		done < 0 ? ": " : "", reason);
}

static void describe_peer(const struct client *client, char *text, size_t size)
{
	if (client->internal)
		snprintf(text, size, "a method");
	else if (client->is_one_call)
		http_call_peer(container_of(client, const struct http_call, client), text, size);
	else
		session_identity_peer(container_of(client, const struct session, client), text, size);
}

void admin_log_denied(const struct client *client, const struct error *error)
{
	struct daemon *daemon = container_of(client->core, struct daemon, core);
	char peer[ADDRESS_TEXT];

	if (!log_quota_take(&daemon->denials, client->core->now, DENIALS))
		return;
	describe_peer(client, peer, sizeof peer);
	happened(HAPPENED_CLIENT_DENIED, &(struct happened_about){.session = client->id, .pool_name = error->pool}, "%.*s, from %s",
		 SPAN_TEXT(error->message, 320), peer);
	log_say(LOG_NOTICE, "session %llu: DENIED: %.*s, from %s", (unsigned long long)client->id, SPAN_TEXT(error->message, 320),
		peer);
}
