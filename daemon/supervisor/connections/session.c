/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/session.h"

#include "daemon/core/calls/client_end.h"
#include "daemon/core/records/pool.h"
#include "daemon/core/life/pool_life.h"
#include "daemon/core/entry/request.h"
#include "daemon/supervisor/config/address.h"
#include "daemon/supervisor/connections/client_files.h"
#include "daemon/supervisor/base/closer.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/transport/outlet.h"
#include "daemon/supervisor/workers/template.h"
#include "daemon/supervisor/connections/unread.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOK_EVERY = 16 }; /* messages between two looks at the clock */

/* ---- events on and off ---- */

static void set_reading(struct session *session, bool on)
{
	if (session->reading == on)
		return;
	session->looked = 0;
	/* A failure to add leaves the session to the sweep, which tries again. */
	session->reading = on && event_add(&session->readable, NULL) == 0;
	if (!on)
		(void)event_del(&session->readable);
}

static void set_writing(struct session *session, bool on)
{
	if (session->writing == on)
		return;
	session->writing = on && event_add(&session->writable, NULL) == 0;
	if (!on)
		(void)event_del(&session->writable);
}

static void mark_dirty(struct session *session)
{
	if (session->dirty || session->over)
		return;
	session->dirty = true;
	TAILQ_INSERT_TAIL(&session->daemon->dirty_sessions, session, dirty_link);
}

static void leave_turns(struct session *session)
{
	if (session->busy)
		TAILQ_REMOVE(&session->daemon->busy_sessions, session, busy_link);
	session->busy = false;
}

static void want_turn(struct session *session)
{
	if (session->busy)
		return;
	session->busy = true;
	TAILQ_INSERT_TAIL(&session->daemon->busy_sessions, session, busy_link);
}

void session_on_wrote(struct client *client)
{
	mark_dirty(container_of(client, struct session, client));
}

/* ---- messages ---- */

static int refuse_garbage(struct session *session, const char *what)
{
	struct ticket *waits = idmap_get(&session->client.inflight, 0);
	struct error error;

	error_say(&error, ERROR_BAD_REQUEST, RAN_NO, "%s; the connection is closed", what);
	if (waits)
		waits->abandoned(waits, &error); /* the only response with this msgid */
	else
		client_answer_error(&session->client, 0, &error);
	log_say(LOG_INFO, "session %llu: %s", (unsigned long long)session->client.id, what);
	session->ending = true;
	return -EBADMSG;
}

static int on_duplicate(struct session *session, uint32_t msgid)
{
	char what[64];

	snprintf(what, sizeof what, "msgid %u is in use by a call in flight", msgid);
	(void)refuse_garbage(session, what);
	return -EEXIST;
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
	if (span_is(rpc->method, "objpool.call"))
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

static const char lost_descriptors[] = "descriptors that were lost: there are too many";

static int on_message(struct session *session, struct span message, struct block *block, bool deep)
{
	struct error error;
	struct rpc rpc;
	int r;

	if (session->intake.lost && session->intake.refs > 0)
		return refuse_garbage(session, lost_descriptors);
	const int files = session->client.fds && !deep
				  ? client_files_take(&session->client, &session->intake, &message, &block, &error)
				  : 0;
	if (rpc_parse(message, &rpc) < 0)
		r = refuse_garbage(session, "a message that is no MessagePack-RPC");
	else if (rpc.type == RPC_RESPONSE || (rpc.type == RPC_REQUEST && session->client.hung_up))
		r = 0; /* a response, though the daemon asks clients nothing; or a request of a client that has gone */
	else if (deep) {
		error_say(&error, ERROR_BAD_REQUEST, RAN_NO, "a value is nested deeper than %d levels", SCAN_LEVELS);
		r = request_refuse(&session->client, &rpc, &error);
	} else if (files < 0) {
		r = request_refuse(&session->client, &rpc, &error);
	} else {
		r = dispatch(session, &rpc, block);
	}
	if (files != 0)
		block_unref(block);
	return r == -EEXIST ? on_duplicate(session, rpc.msgid) : r;
}

/* Refuses a message of which only the beginning has come; the intake drops the rest. */
static int refuse_beginning(struct session *session, struct span beginning, const struct error *error, const char *what)
{
	struct rpc rpc = {.type = RPC_REQUEST};

	if (rpc_peek_msgid(beginning, &rpc.msgid) < 0) {
		/* A notification is dropped in silence; anything else that can't be told is no request. */
		const bool notification = beginning.size >= 2 && beginning.bytes[0] == 0x93 && beginning.bytes[1] == 2;
		return notification ? 0 : refuse_garbage(session, what);
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

	client_refuse(&session->client, RAN_NO, &error);
	arrivals_drop(&session->intake.arrivals, UINT64_MAX); /* all descriptors that have been read belong to it */
	return refuse_beginning(session, beginning, &error, "a large message that is no request");
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
		r = on_message(session, message, block, session->intake.deep);
	return r < 0 ? r : 1;
}

/* Looks at the clock only after LOOK_EVERY messages: to look costs as much as a small call. */
static bool turn_is_over(struct session *session, uint64_t until)
{
	struct daemon *daemon = session->daemon;

	if (++session->unlooked < LOOK_EVERY)
		return false;
	session->unlooked = 0;
	daemon_tick(daemon);
	return daemon->core.now >= until;
}

/* Takes in what has arrived, for as long as the session may have more under way and its turn lasts. */
static int take_in(struct session *session)
{
	const uint64_t begin = session->daemon->core.now;
	bool over = false;
	int r = 1;

	while (r > 0 && !over && client_accepts(&session->client)) {
		r = take_one(session);
		over = r > 0 && turn_is_over(session, begin + SESSION_TURN);
	}
	if (r == 0 && session->intake.lost)
		r = refuse_garbage(session, lost_descriptors); /* the whole messages before them have been taken in */
	session->daemon->spent += session->daemon->core.now - begin;
	session->behind = r > 0;
	if (over)
		want_turn(session);
	return r < 0 ? r : intake_keep(&session->intake);
}

/* ---- reading ---- */

/* Has the peer closed both directions? Of TCP one is enough: its peers close both at once. */
static bool peer_is_gone(const struct session *session)
{
	struct pollfd p = {.fd = session->fd, .events = POLLRDHUP};
	if (poll(&p, 1, 0) <= 0)
		return false;
	return (p.revents & (POLLHUP | POLLERR)) || (!session->is_unix && (p.revents & POLLRDHUP));
}

/* Reading goes on, or stops for a while, or for good. */
static void settle(struct session *session)
{
	const bool wanted = !session->ending && !session->input_done && !session->busy && client_accepts(&session->client);
	set_reading(session, wanted);
	if (!wanted && client_is_greedy(&session->client))
		session->daemon->sessions_held = true;
}

static void on_end_of_input(struct session *session)
{
	session->input_done = true;
	if (peer_is_gone(session) || !session->is_unix)
		client_hang_up(&session->client);
	else
		client_on_input_end(&session->client);
}

static void on_error(struct session *session, int error)
{
	if (error != ECONNRESET && error != EPIPE)
		log_say(LOG_INFO, "session %llu: %s", (unsigned long long)session->client.id, strerror(error));
	client_hang_up(&session->client);
}

static void read_more(struct session *session)
{
	const ssize_t n = intake_read(&session->intake, session->fd, session->daemon->scratch);
	if (n == -EAGAIN)
		return;
	if (n < 0) {
		session->input_done = true;
		on_error(session, (int)-n);
	} else if (n == 0) {
		on_end_of_input(session);
	} else if (take_in(session) < 0) {
		session->ending = true;
	}
	if (session->ending || session->input_done)
		mark_dirty(session); /* it may be over */
}

static void on_readable(evutil_socket_t fd, short what, void *data)
{
	struct session *session = data;

	(void)fd, (void)what;
	daemon_tick(session->daemon);
	if (session->daemon->spent < DAEMON_TURN)
		read_more(session);
	else
		want_turn(session);
	settle(session);
}

void session_take_turn(struct session *session)
{
	leave_turns(session);
	if (session->ending || !client_accepts(&session->client))
		return;
	if (!session->behind) {
		if (!session->input_done)
			read_more(session);
	} else if (take_in(session) < 0) {
		session->ending = true;
	}
	mark_dirty(session); /* session_flush looks at it: it may be over */
}

/* ---- sending ---- */

static void on_writable(evutil_socket_t fd, short what, void *data)
{
	struct session *session = data;
	(void)fd, (void)what;
	daemon_tick(session->daemon);
	mark_dirty(session);
}

/* Has all been sent, and will nothing more be? */
static bool is_done(const struct session *session)
{
	if (session->client.out.bytes > 0)
		return false;
	return session->ending || (session->input_done && !session->behind && TAILQ_EMPTY(&session->client.tickets));
}

static void send_answers(struct session *session)
{
	const int r = outlet_flush(&session->client.out, session->fd);

	if (r == -ENOMEM) { /* half an answer may have been sent */
		session_close(session, strerror(ENOMEM));
		return;
	}
	if (r < 0)
		on_error(session, -r);
	set_writing(session, r > 0);
	client_on_sent(&session->client);
}

void session_resume(struct session *session)
{
	if (!session->ending && session->behind && client_accepts(&session->client))
		want_turn(session);
	settle(session);
}

void session_flush(struct session *session)
{
	if (!session->closed)
		send_answers(session);
	if (session->closed || is_done(session)) {
		session_close(session, NULL);
		return;
	}
	session_resume(session); /* there may be room for messages that were held back */
}

/* Among the descriptors that wait unread may be the connection's other end: then it would never be seen to be closed. */
static bool holds_refused(struct session *session)
{
	if (!session->is_unix || session->busy ||
	    !unread_is_refused(session->client.account, session->fd, &session->looked, session->daemon->scratch))
		return false;
	log_say(LOG_WARNING,
		"session %llu: hands over a socket, or too many files, while it is not read: the connection is closed",
		(unsigned long long)session->client.id);
	(void)shutdown(session->fd, SHUT_RDWR);
	return true;
}

void session_sweep(struct session *session)
{
	if (session->reading)
		return;
	daemon_tick(session->daemon);
	if (!session->client.hung_up && (peer_is_gone(session) || holds_refused(session))) {
		client_hang_up(&session->client);
		mark_dirty(session); /* what it has sent is taken in, as far as there is room */
	}
	settle(session);
}

/* ---- when memory is short ---- */

enum { PATIENCE = 2 }; /* sweeps */

void session_press(struct session *session)
{
	struct client *client = &session->client;

	if (!client_is_greedy(client)) {
		if (session->pressed > 0)
			session_resume(session);
		session->pressed = 0;
		client->refused = false;
		return;
	}
	if (session->pressed < PATIENCE)
		session->pressed++;
	if (session->pressed < PATIENCE || session->ending)
		return;
	if (!client->refused)
		log_say(LOG_INFO,
			"session %llu holds %llu bytes, more than its share of max_memory: its calls are refused until it holds "
			"less",
			(unsigned long long)client->id, (unsigned long long)client->account->used);
	client->refused = true;
	const bool gives_up = intake_give_up(&session->intake);
	if ((gives_up || session->behind) && take_in(session) < 0)
		session->ending = true;
	settle(session);
	if (session->ending)
		mark_dirty(session);
}

/* ---- coming and going ---- */

/* For the log: who is at the other end. */
static void describe_peer(const struct session *session, char *text, size_t size)
{
	struct address address = {.size = sizeof address.sa};
	struct ucred peer;
	socklen_t n = sizeof peer;

	if (!session->is_unix && getpeername(session->fd, (struct sockaddr *)&address.sa, &address.size) == 0)
		address_format(&address, text, size);
	else if (session->is_unix && getsockopt(session->fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0)
		snprintf(text, size, "process %d, user %u, group %u", peer.pid, peer.uid, peer.gid);
	else
		snprintf(text, size, "%s", strerror(errno));
}

static void log_come(const struct session *session)
{
	char peer[ADDRESS_TEXT];

	if (!log_wants(LOG_DEBUG))
		return;
	describe_peer(session, peer, sizeof peer);
	log_say(LOG_DEBUG, "session %llu: connected, %s: %s", (unsigned long long)session->client.id,
		session->is_unix ? "Unix socket" : "TCP", peer);
}

static const char *reason_of_end(const struct session *session)
{
	if (session->ending)
		return "the daemon has closed the connection";
	if (session->client.hung_up)
		return "the client has gone";
	return session->input_done ? "the client has ended its input, and has its answers" : "the daemon stops";
}

struct session *session_new(struct daemon *daemon, int fd, bool is_unix)
{
	struct session *session = calloc(1, sizeof *session);
	if (!session) {
		(void)close(fd);
		return NULL;
	}
	client_init(&session->client, &daemon->core);
	session->daemon = daemon;
	session->fd = fd;
	session->is_unix = is_unix;
	intake_init(&session->intake, daemon->core.limits.max_message, session->client.account);
	intake_use_payloads(&session->intake, &daemon->payloads, daemon->core.limits.payload_min);
	if (is_unix)
		intake_expect_files(&session->intake, closer_put);
	(void)event_assign(&session->readable, daemon->base, fd, EV_READ | EV_PERSIST, on_readable, session);
	(void)event_assign(&session->writable, daemon->base, fd, EV_WRITE | EV_PERSIST, on_writable, session);
	TAILQ_INSERT_TAIL(&daemon->sessions, session, link);
	daemon->session_count++;
	account_add_file(session->client.account);
	set_reading(session, true);
	log_come(session);
	return session;
}

/* Drops the pools that the client has made to go with it, unless one of its notifications is for them. */
static void drop_pools(const struct session *session)
{
	struct pool *pool, *next;

	for (pool = TAILQ_FIRST(&session->daemon->core.pools); pool; pool = next) {
		next = TAILQ_NEXT(pool, link);
		const struct template *template = pool->owner;
		if (template->creator == session->client.id && !pool->leaving && !client_notifies(&session->client, pool))
			pool_drop(pool, ERROR_CANCELLED, "its pool went with the client that made it");
	}
}

static void close_connection(struct session *session, const char *why)
{
	struct daemon *daemon = session->daemon;

	log_say(LOG_DEBUG, "session %llu: disconnected: %s", (unsigned long long)session->client.id,
		why ? why : reason_of_end(session));
	session->closed = true;
	leave_turns(session);
	set_reading(session, false);
	set_writing(session, false);
	if (session->is_unix)
		closer_put_connection(session->client.account, session->fd);
	else
		(void)close(session->fd);
	intake_free(&session->intake);
	TAILQ_REMOVE(&daemon->sessions, session, link);
	TAILQ_INSERT_TAIL(&daemon->departed_sessions, session, link);
	daemon->session_count--;
	account_remove_file(session->client.account);
}

static void end(struct session *session)
{
	struct daemon *daemon = session->daemon;

	session->over = true;
	if (session->dirty)
		TAILQ_REMOVE(&daemon->dirty_sessions, session, dirty_link);
	session->dirty = false;
	drop_pools(session);
	TAILQ_REMOVE(&daemon->departed_sessions, session, link);
	TAILQ_INSERT_TAIL(&daemon->ended_sessions, session, link); /* not freed yet: the caller may still look at it */
}

void session_close(struct session *session, const char *why)
{
	if (session->over)
		return;
	if (why)
		log_say(LOG_INFO, "session %llu: %s", (unsigned long long)session->client.id, why);
	const bool first = !session->closed;
	if (first)
		close_connection(session, why);
	else if (!TAILQ_EMPTY(&session->client.notifications))
		return;
	if (client_leave(&session->client))
		end(session);
	else
		drop_pools(session);
}

void session_end(struct session *session)
{
	if (!session->closed)
		close_connection(session, NULL);
	client_gone(&session->client);
	end(session);
}

void session_free(struct session *session)
{
	assert(session->over);
	free(session);
}
