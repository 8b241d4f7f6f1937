/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/service/daemon_session.h"

#include "gateway/core/put.h"

#include <errno.h>

enum { HELLO = 0, PART_MIN = 4096 };

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
	session->part = block_unref(session->part);
	session->part_size = 0;
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

static int hear(struct daemon_session *session, struct span message)
{
	struct asked *asked;
	struct rpc rpc;

	if (rpc_parse(message, &rpc) < 0)
		return -EBADMSG;
	if (rpc.type == RPC_RESPONSE && rpc.msgid == HELLO)
		hear_hello(session, &rpc);
	else if (rpc.type == RPC_RESPONSE && (asked = idmap_remove(&session->asked, rpc.msgid)))
		asked->ops->answered(asked, &rpc);
	return 0;
}

/* The message that begins so won't be kept. */
static void refuse_large(struct daemon_session *session, struct span beginning)
{
	struct reader reader = reader_of(beginning);
	struct asked *asked;
	uint64_t type, number;
	struct error error;
	uint32_t count;

	session->skips = true;
	if (read_array(&reader, &count) < 0 || read_uint(&reader, &type) < 0 || type != RPC_RESPONSE ||
	    read_uint(&reader, &number) < 0)
		return;
	asked = idmap_remove(&session->asked, number);
	if (!asked)
		return;
	error_say(&error, ERROR_TOO_LARGE, RAN_YES, "the answer is larger than a message on the bus can be");
	asked->ops->lost(asked, &error);
}

/* What is allocated follows what has come. */
static int add_part(struct daemon_session *session, struct span bytes)
{
	const size_t size = session->part_size + bytes.size;

	if (!session->part || session->part->capacity < size) {
		struct block *larger = block_new(&session->gateway->memory, size < PART_MIN ? PART_MIN : 2 * size);
		if (!larger)
			return -ENOMEM;
		if (session->part_size)
			memcpy(larger->bytes, session->part->bytes, session->part_size);
		block_unref(session->part);
		session->part = larger;
	}
	memcpy(session->part->bytes + session->part_size, bytes.bytes, bytes.size);
	session->part_size = size;
	return 0;
}

/* Takes the message at the front of `bytes`. How many bytes are done with; 0: there is no whole one; or a negative errno. */
static int64_t take_one(struct daemon_session *session, struct span bytes)
{
	const int r = scan_run(&session->scan, bytes.bytes, bytes.size);

	if (r < 0)
		return r;
	if ((session->scan.over || session->scan.deep) && !session->skips)
		refuse_large(session, bytes);
	const bool skips = session->skips;
	if (r == 0 && !skips)
		return 0;
	const uint64_t done = session->scan.pos < bytes.size ? session->scan.pos : bytes.size;
	if (r == 0) {
		scan_forget(&session->scan, done);
		return (int64_t)done;
	}
	session->skips = false;
	scan_begin(&session->scan, session->largest);
	if (!skips && hear(session, (struct span){.bytes = bytes.bytes, .size = (size_t)done}) < 0)
		return -EBADMSG;
	return (int64_t)done;
}

static int take_all(struct daemon_session *session)
{
	struct block *block = block_ref(session->part); /* an answer may have ended the session */
	const size_t size = session->part_size;
	size_t begin = 0;
	int64_t done = 1;

	while (done > 0 && begin < size && session->part == block) {
		done = take_one(session, (struct span){.bytes = block->bytes + begin, .size = size - begin});
		begin += done > 0 ? (size_t)done : 0;
	}
	if (session->part == block) {
		session->part_size = size - begin;
		memmove(block->bytes, block->bytes + begin, session->part_size);
		if (session->part_size == 0)
			session->part = block_unref(session->part);
	}
	block_unref(block);
	return done < 0 ? (int)done : 0;
}

static void local_bytes(struct local *local, struct span bytes)
{
	struct daemon_session *session = local->user_side;

	if (add_part(session, bytes) < 0)
		daemon_session_close(session, "the gateway is out of memory");
	else if (take_all(session) < 0)
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

	session->local = local_open(session->gateway, GATEWAY_BUS_HOST, "-", 0, &ops, session);
	if (!session->local)
		return -1;
	session->written = 0;
	session->last_number = HELLO;
	session->skips = false;
	scan_begin(&session->scan, session->largest);
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

size_t daemon_session_unread(const struct daemon_session *session)
{
	return session->local ? session->local->out.bytes : 0;
}
