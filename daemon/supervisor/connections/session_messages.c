/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/session_messages.h"

#include "daemon/core/entry/request.h"
#include "daemon/core/entry/request_train.h"
#include "daemon/supervisor/connections/client_files.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"

#include <errno.h>
#include <stdio.h>

enum { LOOK_EVERY = 16 }; /* messages between two looks at the clock */

static int refuse_garbage(struct session *session, const char *reason)
{
	struct ticket *waits = idmap_get(&session->client.inflight, 0);
	struct error error;

	error_say(&error, ERROR_BAD_REQUEST, RAN_NO, "%s; the connection is closed", reason);
	if (waits)
		waits->abandoned(waits, &error); /* msgid 0 has one response only: the call that uses it gets the error */
	else
		client_answer_error(&session->client, 0, &error);
	log_say(LOG_INFO, "session %llu: %s", (unsigned long long)session->client.id, reason);
	session->ending = true;
	return -EBADMSG;
}

static int on_duplicate(struct session *session, uint32_t msgid)
{
	char reason[64];

	snprintf(reason, sizeof reason, "msgid %u is in use by a call in flight", msgid);
	(void)refuse_garbage(session, reason);
	return -EEXIST;
}

/* Does objpool.call name the daemon as its target? No pool has this name. */
static bool is_for_daemon(struct span params)
{
	struct reader reader = reader_of(params);
	struct span target;
	uint32_t n;

	return read_array(&reader, &n) == 0 && n > 0 && read_text(&reader, &target) == 0 && span_is(target, "objpool");
}

static int dispatch(struct session *session, struct rpc *rpc, struct block *block)
{
	static const char own[] = "objpool.";
	struct error error;
	const bool is_own = rpc->method.size >= sizeof own - 1 && memcmp(rpc->method.bytes, own, sizeof own - 1) == 0;

	if (!is_own)
		return request_call(&session->client, rpc, block);
	session->unlooked = LOOK_EVERY; /* a method of the daemon's own may take long: look at the clock after it */
	if (rpc->type == RPC_NOTIFICATION && span_is(rpc->method, "objpool.give_back")) {
		if (client_files_on_give_back(&session->client, rpc->params) < 0)
			log_say(LOG_DEBUG,
				"session %llu: the notification objpool.give_back is dropped: its arguments are not numbers of "
				"descriptors",
				(unsigned long long)session->client.id);
		return 0;
	}
	if (span_is(rpc->method, "objpool.call") && !is_for_daemon(rpc->params))
		return request_full_call(&session->client, rpc, block);
	if (rpc->type == RPC_NOTIFICATION && span_is(rpc->method, "objpool.feed")) {
		request_feed(&session->client, rpc, block);
		return 0;
	}
	if (rpc->type == RPC_NOTIFICATION && span_is(rpc->method, "objpool.feed_end")) {
		request_feed_end(&session->client, rpc);
		return 0;
	}
	if (block && block->files) {
		error_say(&error, ERROR_BAD_ARGUMENT, RAN_NO, "%.*s takes no descriptors",
			  (int)(rpc->method.size < 80 ? rpc->method.size : 80), (const char *)rpc->method.bytes);
		return request_refuse(&session->client, rpc, &error);
	}
	return session->daemon->ops->serve(session, rpc);
}

/* The user has as many sessions as it may. */
static int refuse_session(struct session *session, const struct rpc *rpc, const struct error *error)
{
	if (rpc->type == RPC_REQUEST)
		(void)request_refuse(&session->client, rpc, error); /* it is the first: no other has its msgid */
	else
		client_answer_error(&session->client, 0, error);
	log_say(LOG_INFO, "session %llu: %.*s", (unsigned long long)session->client.id, SPAN_TEXT(error->message, 320));
	happened(HAPPENED_CLIENT_REFUSED, &(struct happened_about){.session = session->client.id}, "%.*s",
		 SPAN_TEXT(error->message, 320));
	return -EBUSY;
}

/* A session is its user's with its first request: objpool.hello may say who that is, and enters it by itself. */
static int enter(struct session *session, const struct rpc *rpc)
{
	struct error error;

	if (span_is(rpc->method, "objpool.hello") || client_enter(&session->client, &error) == 0)
		return 0;
	return refuse_session(session, rpc, &error);
}

static const char lost_descriptors[] = "descriptors that were lost: there are too many";

static int on_message(struct session *session, struct span message, struct block *block, bool deep)
{
	struct error error;
	struct rpc rpc = {0};
	int r;

	if (session->intake.lost && session->intake.refs > 0)
		return refuse_garbage(session, lost_descriptors);
	const int files = session->client.fds && !deep
				  ? client_files_take(&session->client, &session->intake, &message, &block, &error)
				  : 0;
	const int parsed = rpc_parse(message, &rpc);
	const bool hello = span_is(rpc.method, "objpool.hello"); /* a call moves rpc.method into itself, and may be over next */
	rpc.levels = session->intake.deepest;
	if (parsed < 0)
		r = refuse_garbage(session, "a message that is no MessagePack-RPC");
	else if (rpc.type == RPC_RESPONSE || (rpc.type == RPC_REQUEST && session->client.hung_up))
		r = 0; /* dropped: the daemon asks clients nothing, and nobody reads the answer to a client that has gone */
	else if (deep) {
		error_say(&error, ERROR_BAD_REQUEST, RAN_NO, "a value is nested deeper than %d levels", SCAN_LEVELS);
		r = request_refuse(&session->client, &rpc, &error);
	} else if (files < 0) {
		r = request_refuse(&session->client, &rpc, &error);
	} else if (session->client.entered || (r = enter(session, &rpc)) == 0) {
		r = dispatch(session, &rpc, block);
	}
	session->asked = true;
	session->client.arriving = session->client.arriving && hello;
	if (files != 0)
		block_unref(block);
	return r == -EEXIST ? on_duplicate(session, rpc.msgid) : r;
}

/* Refuses a message of which only the beginning has come; the intake drops the rest. */
static int refuse_beginning(struct session *session, struct span beginning, const struct error *error, const char *reason)
{
	struct rpc rpc = {.type = RPC_REQUEST};

	if (rpc_peek_msgid(beginning, &rpc.msgid) < 0) {
		/* A notification has no answer. Any other message without a msgid is no request. */
		const bool notification = beginning.size >= 2 && beginning.bytes[0] == 0x93 && beginning.bytes[1] == 2;
		return notification ? 0 : refuse_garbage(session, reason);
	}
	const int r = request_refuse(&session->client, &rpc, error);
	return r == -EEXIST ? on_duplicate(session, rpc.msgid) : r;
}

static int on_too_large(struct session *session, struct span beginning)
{
	struct error error;

	error_say(&error, ERROR_TOO_LARGE, RAN_NO, "the message is over max_message = %llu bytes",
		  (unsigned long long)session->intake.limit);
	return refuse_beginning(session, beginning, &error, "a message over max_message that is no request");
}

static int on_given_up(struct session *session, struct span beginning)
{
	struct error error;

	client_say_greedy(&session->client, RAN_NO, &error);
	arrivals_drop(&session->intake.arrivals, UINT64_MAX); /* all descriptors that have come belong to this message */
	return refuse_beginning(session, beginning, &error, "a large message that is no request");
}

static int on_whole(struct session *session, struct span message, struct block *block)
{
	session->alone = message.size;
	return on_message(session, message, block, session->intake.deep);
}

/* Takes in one message. 1; 0: there is no whole message; negative: the connection is to be closed. */
static int take_one(struct session *session)
{
	struct span message;
	struct block *block;
	int r;

	const int got = intake_next(&session->intake, &message, &block);
	if (got == 0)
		return 0;
	if (got == -EBADMSG)
		r = refuse_garbage(session, "bytes that are no msgpack");
	else if (got == -EMSGSIZE)
		r = on_too_large(session, message);
	else if (got == -ENOBUFS)
		r = on_given_up(session, message);
	else if (got < 0)
		r = got;
	else
		r = on_whole(session, message, block);
	return r < 0 ? r : 1;
}

/* Takes in small plain calls that have come together. False: the next message is to be looked at by itself. */
static bool take_train(struct session *session)
{
	uint32_t count = 0;

	if (!session->client.memo.epoch)
		return false;
	const struct span waiting = intake_waiting(&session->intake);
	if (waiting.size < 2 * (session->client.memo.size + TRAIN_REQUEST_MIN) || waiting.size <= session->alone)
		return false; /* it is one request at most, or probably */
	const size_t taken = request_train(&session->client, waiting, &count);
	intake_pass_over(&session->intake, taken);
	session->unlooked = (uint8_t)(session->unlooked + count); /* at most 15 + 64 */
	return taken > 0;
}

/* Looks at the clock only after LOOK_EVERY messages: to look costs as much as a small call. */
static bool look_at_clock(struct session *session, uint64_t until)
{
	struct daemon *daemon = session->daemon;

	if (++session->unlooked < LOOK_EVERY)
		return false;
	session->unlooked = 0;
	daemon_tick(daemon);
	return daemon->core.now >= until;
}

int session_take_in(struct session *session)
{
	const uint64_t begin = session->daemon->core.now;
	bool over = false;
	int r = 1;

	while (r > 0 && !over && client_accepts(&session->client)) {
		r = take_train(session) ? 1 : take_one(session);
		over = r > 0 && look_at_clock(session, begin + SESSION_TURN);
	}
	if (r == 0 && session->intake.lost)
		r = refuse_garbage(session, lost_descriptors); /* the whole messages that came before have been taken in */
	session->daemon->spent += session->daemon->core.now - begin;
	session->behind = r > 0;
	if (over)
		session_want_turn(session);
	return r < 0 ? r : intake_keep(&session->intake);
}
