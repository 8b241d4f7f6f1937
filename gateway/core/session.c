/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/session.h"

#include "gateway/core/allowance.h"
#include "gateway/core/hosts.h"

#include <errno.h>
#include <stdlib.h>

int clients_open(struct gateway *gateway)
{
	gateway->clients = calloc(1, sizeof *gateway->clients);
	if (!gateway->clients)
		return -ENOMEM;
	TAILQ_INIT(&gateway->clients->list);
	TAILQ_INIT(&gateway->clients->thirsty);
	TAILQ_INIT(&gateway->clients->joinable);
	return 0;
}

struct session *session_find(const struct gateway *gateway, uint64_t sid)
{
	return idmap_get(&gateway->clients->by_sid, sid);
}

static void reap(struct gateway_ending *ending)
{
	struct session *session = container_of(ending, struct session, ending);

	idmap_free(&session->calls);
	leases_free(&session->leases);
	for (unsigned i = 0; i < SESSION_DENIALS; i++)
		if (session->denials[i].host)
			session->denials[i].host->users--;
	free(session->user);
	free(session->client);
	account_close(session->memory);
	free(session);
}

bool session_is_greedy(const struct session *session)
{
	const struct gateway *gateway = session->gateway;

	return allowance_is_used_up(gateway) && (account_exceeds_share(session->memory, &gateway->memory) ||
						 allowance_own_memory(gateway) / 2 > gateway->memory.limit);
}

void session_free_if_over(struct session *session)
{
	if (!session->closed || session->held > 0 || !TAILQ_EMPTY(&session->list) || !TAILQ_EMPTY(&session->lanes) ||
	    session->ending.listed)
		return;
	TAILQ_REMOVE(&session->gateway->clients->list, session, entry);
	gateway_end(session->gateway, &session->ending);
}

static struct session *session_make(struct gateway *gateway, uint64_t sid)
{
	struct session *session = calloc(1, sizeof *session);

	if (!session)
		return NULL;
	session->ending.reap = reap;
	session->memory = account_new(&gateway->memory);
	session->gateway = gateway;
	session->sid = sid;
	TAILQ_INIT(&session->list);
	TAILQ_INIT(&session->lanes);
	return session;
}

struct session *session_of_user(struct gateway *gateway, const char *user)
{
	struct session *session = session_make(gateway, 0);

	if (!session)
		return NULL;
	session->closed = true;
	session->user = strdup(user);
	session->client = strdup("objpool-gateway");
	TAILQ_INSERT_TAIL(&gateway->clients->list, session, entry);
	if (session->user && session->client)
		return session;
	session_free_if_over(session);
	return NULL;
}

static struct session *session_new(struct gateway *gateway, uint64_t sid)
{
	struct session *session = session_make(gateway, sid);

	if (!session)
		return NULL;
	if (idmap_add(&gateway->clients->by_sid, sid, session) < 0) {
		account_close(session->memory);
		free(session);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&gateway->clients->list, session, entry);
	return session;
}

/* Replaces a text. 0 or -ENOMEM. */
static int set_text(char **text, struct span value, const char *otherwise)
{
	char *copy = value.size ? strndup((const char *)value.bytes, value.size) : strdup(otherwise);

	if (!copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

static int read_form(struct reader *reader, enum error_form *form)
{
	struct span text;

	if (read_text(reader, &text) < 0)
		return -EBADMSG;
	*form = span_is(text, "map") ? ERRORS_AS_MAP : span_is(text, "pair") ? ERRORS_AS_PAIR : ERRORS_AS_STRING;
	return 0;
}

int session_open(struct gateway *gateway, uint64_t sid, struct span map)
{
	struct reader reader = reader_of(map);
	enum error_form form = ERRORS_AS_STRING;
	struct span key, value, user = {0}, client = {0};
	uint32_t count;

	if (read_map(&reader, &count) < 0)
		return -EBADMSG;
	for (; count > 0; count--) {
		if (read_text(&reader, &key) < 0)
			return -EBADMSG;
		if (read_nil(&reader) == 0)
			continue;
		if (span_is(key, "user")     ? read_text(&reader, &user) < 0
		    : span_is(key, "client") ? read_text(&reader, &client) < 0
		    : span_is(key, "errors") ? read_form(&reader, &form) < 0
					     : read_value(&reader, &value) < 0)
			return -EBADMSG;
	}
	struct session *session = session_find(gateway, sid);
	if (!session)
		session = session_new(gateway, sid);
	if (!session)
		return -ENOMEM;
	session->form = form;
	return set_text(&session->user, user, "-") < 0 || set_text(&session->client, client, "") < 0 ? -ENOMEM : 0;
}

struct sendq *session_begin(struct session *session)
{
	struct gateway *gateway = session->gateway;

	if (session->closed)
		return NULL;
	const size_t before = gateway->to_supervisor.bytes;
	uint8_t *p = sendq_reserve(&gateway->to_supervisor, PACK_HEAD + 2 * PACK_UINT);
	if (p)
		sendq_commit(&gateway->to_supervisor,
			     (size_t)(pack_uint(pack_uint(pack_array(p, 3), FROM_GATEWAY_MESSAGE), session->sid) - p));
	gateway_supervisor_wrote(gateway, before);
	session->begun = gateway->to_supervisor.bytes;
	return &gateway->to_supervisor;
}

void session_end(struct session *session)
{
	session->untaken += session->gateway->to_supervisor.bytes - session->begun;
	session->full = session->full || session->untaken > GATEWAY_AHEAD; /* until session_taken, which resumes */
}

void session_taken(struct session *session, uint64_t bytes)
{
	session->untaken -= bytes < session->untaken ? bytes : session->untaken;
	if (!session->full || session->untaken > GATEWAY_AHEAD / 2)
		return;
	session->full = false;
	session->gateway->clients->resumed(session);
}
