/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/service/daemon_session.h"

#include "gateway/core/put.h"

#include <errno.h>

enum { HELLO = 0 };

/* ---- its end ---- */

static void lose_all(struct daemon_session *session, uint64_t left, const char *reason)
{
	for (uint32_t i = 0; session->asked.mask && i <= session->asked.mask;) {
		struct asked *asked = session->asked.entries[i].value;
		struct error error;
		if (!asked) {
			i++;
			continue;
		}
		(void)idmap_remove(&session->asked, session->asked.entries[i].key);
		error_say(&error, ERROR_UNAVAILABLE, asked->end > left ? RAN_NO : RAN_MAYBE, "%s", reason);
		asked->ops->lost(asked, &error);
	}
	idmap_free(&session->asked);
	session->asked = (struct idmap){0};
}

/* The session is not there any more. */
static void forget(struct daemon_session *session, const char *reason)
{
	const uint64_t left = session->written - session->local->out.bytes;

	session->local = NULL;
	inlet_close(&session->inlet);
	lose_all(session, left, reason);
}

void daemon_session_close(struct daemon_session *session, const char *reason)
{
	struct local *local = session->local;

	if (!local)
		return;
	forget(session, reason);
	local_close(local);
}

/* ---- what comes ---- */

static void hear_hello(struct daemon_session *session, const struct rpc *rpc)
{
	struct reader reader = reader_of(rpc->error);

	if (read_nil(&reader) < 0)
		gateway_log(session->gateway, LOG_WARNING, "the daemon has refused the session for programs on the bus");
}

static int hear(struct inlet *inlet, struct span message, struct block *block)
{
	struct daemon_session *session = container_of(inlet, struct daemon_session, inlet);
	struct asked *asked;
	struct rpc rpc;

	(void)block;
	if (rpc_parse(message, &rpc) < 0)
		return -EBADMSG;
	if (rpc.type == RPC_RESPONSE && rpc.msgid == HELLO)
		hear_hello(session, &rpc);
	else if (rpc.type == RPC_RESPONSE && (asked = idmap_remove(&session->asked, rpc.msgid)))
		asked->ops->answered(asked, &rpc);
	return 0;
}

static void refuse_large(struct inlet *inlet, struct span beginning)
{
	struct daemon_session *session = container_of(inlet, struct daemon_session, inlet);
	struct reader reader = reader_of(beginning);
	struct asked *asked;
	uint64_t type, number;
	struct error error;
	uint32_t count;

	if (read_array(&reader, &count) < 0 || read_uint(&reader, &type) < 0 || type != RPC_RESPONSE ||
	    read_uint(&reader, &number) < 0)
		return;
	asked = idmap_remove(&session->asked, number);
	if (!asked)
		return;
	error_say(&error, ERROR_TOO_LARGE, RAN_YES, "the answer is larger than a message on the bus can be");
	asked->ops->lost(asked, &error);
}

static void local_bytes(struct local *local, struct span bytes)
{
	struct daemon_session *session = local->user_side;

	const int r = inlet_take(&session->inlet, bytes);

	if (r == -ENOMEM)
		daemon_session_close(session, "the gateway is out of memory");
	else if (r < 0)
		daemon_session_close(session, "the daemon has sent what is no message");
}

static void local_sent(struct local *local)
{
	(void)local;
}

static void local_gone(struct local *local)
{
	forget(local->user_side, "the daemon has closed the session for programs on the bus");
}

/* ---- what goes ---- */

/* The daemon was given all that was asked for. What it answers to hello concerns nobody but the log. */
static void put_hello(struct sendq *to)
{
	put_array(to, 4);
	put_uint(to, RPC_REQUEST);
	put_uint(to, HELLO);
	put_text(to, "objpool.hello");
	put_array(to, 1);
	put_map(to, 2);
	put_text(to, "client");
	put_text(to, GATEWAY_BUS_HOST);
	put_text(to, "errors");
	put_text(to, "map");
}

static int open_session(struct daemon_session *session)
{
	static const struct local_ops ops = {.bytes = local_bytes, .sent = local_sent, .gone = local_gone};
	static const struct inlet_ops inlet_ops = {.message = hear, .large = refuse_large};

	session->local = local_open(session->gateway, GATEWAY_BUS_HOST, "-", 0, &ops, session);
	if (!session->local)
		return -1;
	session->written = 0;
	session->last_number = HELLO;
	inlet_open(&session->inlet, &inlet_ops, &session->gateway->memory, session->largest);
	put_hello(&session->local->out);
	session->written += session->local->out.bytes;
	local_wrote(session->local, 0);
	return 0;
}

struct sendq *daemon_session_begin(struct daemon_session *session, uint32_t *number)
{
	if (!session->local && open_session(session) < 0)
		return NULL;
	do
		*number = ++session->last_number;
	while (*number == HELLO || idmap_get(&session->asked, *number));
	session->begun = session->local->out.bytes;
	return &session->local->out;
}

int daemon_session_end(struct daemon_session *session, uint32_t number, struct asked *asked, const struct asked_ops *ops)
{
	struct local *local = session->local;

	session->written += local->out.bytes - session->begun;
	asked->ops = ops;
	asked->end = session->written;
	if (local->out.failed || idmap_add(&session->asked, number, asked) < 0) {
		daemon_session_close(session, "the gateway is out of memory");
		return -ENOMEM;
	}
	local_wrote(local, session->begun);
	return 0;
}
