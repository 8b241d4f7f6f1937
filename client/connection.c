/* SPDX-License-Identifier: Apache-2.0 */
#include "client/connection.h"

#include "client/clock.h"
#include "client/endpoint.h"
#include "client/failure.h"
#include "client/options.h"
#include "client/shared.h"
#include "client/stream.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	CONNECTION_READS = 16,         /* a turn, at most: other things in the program's loop want theirs */
	CONNECTION_BUFFERED = 256 << 10, /* unsent bytes from which on a request is sent without waiting for the next turn */
	CONNECTION_HELLO_MS = 10000,
	CONNECTION_TRIM_MS = 1000,
};

/* ---- packing -------------------------------------------------------------------------------------------------------- */

/* Out of memory, they are not given back: the daemon sends bytes then. */
static void give_back(struct objpool *pool)
{
	struct objpool_packer *output = &pool->wire.output;
	const size_t size = output->size;

	if (!pool->receipts.given)
		return;
	receipts_return(&pool->receipts, output);
	output->size = output->error ? size : output->size;
	output->error = 0;
}

int connection_begin(struct objpool *pool, size_t *mark)
{
	if (pool->lost || pool->closing)
		return -ENOTCONN;
	give_back(pool);
	*mark = pool->wire.output.size;
	return 0;
}

int connection_commit(struct objpool *pool, size_t mark)
{
	struct objpool_packer *output = &pool->wire.output;

	if (output->error) {
		const int rc = output->error;
		output->error = 0;
		output->size = mark;
		wire_unpass(&pool->wire, mark);
		if (pool->wire.lent_at > mark) /* this request's: its beginning comes before them */
			pool->wire.lent = (struct objpool_bytes){NULL, 0};
		return rc;
	}
	if (wire_unsent(&pool->wire) >= CONNECTION_BUFFERED)
		(void)objpool_flush(pool);
	return 0;
}

void connection_pack_bytes(struct objpool *pool, size_t mark, struct objpool_bytes values)
{
	if (parcels_may_be_alike(&pool->parcels, values) && parcels_find(&pool->parcels, values) & PARCELS_ALIKE)
		parcels_pack(&pool->parcels, &pool->wire, mark, values, NULL);
	else
		objpool_pack_raw(&pool->wire.output, values);
}

void connection_keep_lent(struct objpool *pool)
{
	if (pool->wire.lent.size == 0)
		return;
	wire_keep_lent(&pool->wire);
	if (pool->wire.output.error && !pool->lost)
		pool->lost = pool->wire.output.error; /* half a message has been sent */
}

/* ---- messages that come --------------------------------------------------------------------------------------------- */

/* Whether an instance may still be at work on the arguments of a call that is answered. */
static bool may_be_at_work(const struct pending_call *call, const struct objpool_error *error)
{
	return error || call->collects || (call->stream && stream_has_failures(call->stream));
}

static void answer(struct objpool *pool, struct pending_call *call, struct objpool_bytes value, const struct objpool_error *error)
{
	const struct objpool_result result = {.value = value, .error = error};

	parcels_done(&pool->parcels, &call->parcels, may_be_at_work(call, error));
	call->callback(call->context, &result);
}

static void answer_failure(struct objpool *pool, struct pending_call *call, const struct objpool_error *error)
{
	answer(pool, call, (struct objpool_bytes){NULL, 0}, error);
	(void)failure_unref(error);
}

/* Without memory for it, the call goes the way of all when the connection is lost. */
static int answer_value(struct objpool *pool, struct pending_call *call, struct objpool_bytes value)
{
	const int rc = receipts_value(&pool->receipts, &value);

	if (rc < 0)
		answer_failure(pool, call, failure_make("DISCONNECTED", "there is no memory for the result", OBJPOOL_RAN_YES));
	else
		answer(pool, call, value, NULL);
	return rc;
}

/* msgid 0 is nobody's: the daemon says with it why it is about to close. */
static void keep_farewell(struct objpool *pool, struct objpool_bytes bytes)
{
	const struct objpool_error *error = failure_parse(bytes);

	free(pool->farewell);
	pool->farewell = strdup(error->message);
	(void)failure_unref(error);
}

static int on_response(struct objpool *pool, struct objpool_reader *reader)
{
	struct pending_call call;
	struct objpool_bytes error;
	uint64_t msgid;

	if (objpool_read_uint(reader, &msgid) < 0 || msgid > UINT32_MAX)
		return -EBADMSG;
	const bool failed = objpool_read_nil(reader) < 0;
	if (failed && objpool_read_value(reader, &error) < 0)
		return -EBADMSG;
	if (failed && msgid == 0)
		keep_farewell(pool, error);
	if (!pending_take(&pool->pending, (uint32_t)msgid, &call))
		return 0; /* given up before */
	if (failed)
		answer_failure(pool, &call, failure_parse(error));
	else
		return answer_value(pool, &call, (struct objpool_bytes){reader->next, (size_t)(reader->end - reader->next)});
	return 0;
}

/* Text that may be nil, with a NUL at its end: the caller's to free. */
static char *take_text(struct objpool_reader *reader)
{
	const char *text;
	size_t size;

	return objpool_read_str(reader, &text, &size) == 0 ? strndup(text, size) : NULL;
}

/* done, total, text: each may be nil. */
static int on_progress(struct objpool *pool, const struct pending_call *call, struct objpool_reader *params)
{
	struct objpool_stream *stream = call->stream;
	const uint32_t msgid = call->msgid;
	int64_t numbers[2];

	if (stream && stream_is_over(stream))
		return 0;

	for (int i = 0; i < 2; i++)
		if (objpool_read_int(params, &numbers[i]) < 0) {
			numbers[i] = -1;
			if (objpool_read_value(params, NULL) < 0)
				return -EBADMSG;
		}
	char *text = take_text(params);
	const int rc = call->on_progress(call->progress_context, numbers[0], numbers[1], text);
	free(text);
	if (rc != 0 && stream)
		stream_end(stream, rc);
	else if (rc != 0)
		(void)objpool_cancel(pool, msgid);
	return 0;
}

static bool is_named(struct objpool_bytes method, const char *name)
{
	return method.size == strlen(name) && memcmp(method.data, name, method.size) == 0;
}

/* What a call of the library's own has asked for. 1; 0: it is about none; -EBADMSG. */
static int on_news(struct objpool *pool, struct objpool_bytes method, struct objpool_bytes params)
{
	struct objpool_reader reader = objpool_reader(params);
	uint32_t count;
	uint64_t msgid;

	if (objpool_read_array(&reader, &count) < 0 || objpool_read_uint(&reader, &msgid) < 0 || msgid > UINT32_MAX)
		return 0;
	const struct pending_call *call = pending_find(&pool->pending, (uint32_t)msgid);
	int rc = 1;
	if (call && call->stream && is_named(method, "objpool.result"))
		rc = count == 4 ? stream_on_result(call->stream, &reader) : -EBADMSG;
	else if (call && call->stream && is_named(method, "objpool.credit"))
		rc = stream_on_credit(call->stream, &reader);
	else if (call && call->on_progress && is_named(method, "objpool.progress"))
		rc = on_progress(pool, call, &reader);
	else
		return 0;
	return rc < 0 ? rc : 1;
}

/* What nobody has asked for, the program may know. */
static void pass_on(struct objpool *pool, struct objpool_bytes method, struct objpool_bytes params)
{
	char name[128];

	if (!pool->on_notification || method.size >= sizeof name)
		return;
	memcpy(name, method.data, method.size);
	name[method.size] = '\0';
	pool->on_notification(pool->notification_context, name, params);
}

static int on_notification(struct objpool *pool, struct objpool_reader *reader)
{
	const char *text;
	size_t size;

	if (objpool_read_str(reader, &text, &size) < 0)
		return -EBADMSG;
	const struct objpool_bytes method = {text, size};
	const struct objpool_bytes params = {reader->next, (size_t)(reader->end - reader->next)};
	const int rc = on_news(pool, method, params);
	if (rc == 0)
		pass_on(pool, method, params);
	return rc < 0 ? rc : 0;
}

/* The message is whole; its last value ends where it ends. */
static int on_message(struct objpool *pool, struct objpool_bytes message)
{
	struct objpool_reader reader = objpool_reader(message);
	uint32_t count;
	uint64_t type;

	if (objpool_read_array(&reader, &count) < 0 || count == 0 || objpool_read_uint(&reader, &type) < 0)
		return -EBADMSG;
	if (type == 1 && count == 4)
		return on_response(pool, &reader);
	if (type == 2 && count == 3)
		return on_notification(pool, &reader);
	return -EBADMSG;
}

static int on_message_with_descriptors(struct objpool *pool, struct objpool_bytes message)
{
	int rc = receipts_open(&pool->receipts, &pool->wire.arrivals, message);

	if (rc == 0)
		rc = on_message(pool, message);
	receipts_close(&pool->receipts);
	return rc;
}

static int receive_once(struct objpool *pool, bool wait, bool *more)
{
	struct objpool_bytes message;
	const int64_t n = wire_fill(&pool->wire, wait, more);
	int rc = 0;

	if (n < 0)
		return (int)n;
	while (!pool->closing && rc == 0) {
		rc = wire_next(&pool->wire, &message);
		if (rc <= 0)
			break;
		rc = pool->wire.refers ? on_message_with_descriptors(pool, message) : on_message(pool, message);
	}
	return rc;
}

static void receive(struct objpool *pool, bool wait)
{
	bool more = true;

	for (int i = 0; i < CONNECTION_READS && more && !pool->lost && !pool->closing; i++)
		pool->lost = receive_once(pool, wait && i == 0, &more);
}

/* Nothing can be sent any more, but the daemon's last answers may still lie in the socket. */
static void receive_last(struct objpool *pool)
{
	bool more = true;

	pool->unsendable = false;
	while (more && !pool->closing && receive_once(pool, false, &more) == 0) {
	}
}

/* ---- the turn --------------------------------------------------------------------------------------------------------- */

static const struct objpool_error *disconnected(const struct objpool *pool)
{
	char message[512];

	if (pool->farewell)
		snprintf(message, sizeof message, "the daemon closed the connection: %s", pool->farewell);
	else if (!pool->lost || pool->closing)
		snprintf(message, sizeof message, "the connection was closed");
	else
		snprintf(message, sizeof message, "the connection to the daemon was lost: %s", strerror(-pool->lost));
	return failure_make("DISCONNECTED", message, OBJPOOL_RAN_MAYBE);
}

static void fail_everything(struct objpool *pool)
{
	const struct objpool_error *error = disconnected(pool);
	struct pending_call call;

	for (uint32_t place = 0; pending_take_any(&pool->pending, &place, &call);)
		answer_failure(pool, &call, failure_ref(error));
	(void)failure_unref(error);
}

static void expire(struct objpool *pool)
{
	struct pending_call call;

	if (pending_deadline(&pool->pending) == 0)
		return;
	for (const int64_t now = clock_now(); pending_take_expired(&pool->pending, now, &call);) {
		(void)objpool_cancel(pool, call.msgid);
		answer_failure(pool, &call, failure_make("TIMEOUT", "the daemon has not answered in time", OBJPOOL_RAN_MAYBE));
	}
}

static void destroy(struct objpool *pool)
{
	wire_close(&pool->wire);
	parcels_free(&pool->parcels);
	receipts_free(&pool->receipts);
	pending_free(&pool->pending);
	objpool_result_free(&pool->hello);
	free(pool->farewell);
	free(pool);
}

/* Memory that large values went through is kept for a while, for others. */
static void trim(struct objpool *pool)
{
	shared_sweep(&pool->parcels.shared);
	if (pool->parcels.warm.count == 0 && pool->parcels.warm.shortage == 0 && pool->receipts.warm_count == 0) {
		pool->trim_at = 0;
		return;
	}
	const int64_t now = clock_now();
	if (pool->trim_at != 0 && now >= pool->trim_at) {
		payload_trim(&pool->parcels.warm);
		receipts_trim(&pool->receipts);
	}
	if (pool->trim_at <= now)
		pool->trim_at = now + CONNECTION_TRIM_MS * CLOCK_NS_PER_MS;
}

static int turn(struct objpool *pool, bool readable, bool wait)
{
	pool->dispatching = true;
	if (readable && !pool->lost)
		receive(pool, wait);
	if (!pool->lost && !pool->closing) {
		expire(pool);
		stream_turn(pool);
		trim(pool);
		(void)objpool_flush(pool);
	}
	if (pool->unsendable && !pool->closing)
		receive_last(pool);
	if (pool->lost)
		fail_everything(pool);
	stream_settle(pool);
	if (pool->closing) { /* maybe only since then */
		fail_everything(pool);
		stream_settle(pool);
	}
	pool->dispatching = false;
	if (pool->closing) {
		destroy(pool);
		return -ESHUTDOWN;
	}
	return pool->lost ? -ENOTCONN : 0;
}

int objpool_flush(struct objpool *pool)
{
	if (pool->lost)
		return -ENOTCONN;
	give_back(pool);
	const int rc = wire_flush(&pool->wire);
	if (rc < 0) {
		pool->lost = rc; /* its calls are told in the next turn */
		pool->unsendable = true;
	}
	return rc < 0 ? -ENOTCONN : rc;
}

int objpool_dispatch(struct objpool *pool, short events)
{
	return pool->dispatching ? -EDEADLK : turn(pool, (events & ~POLLOUT) != 0, false);
}

/* ---- waiting ---------------------------------------------------------------------------------------------------------- */

int objpool_fd(const struct objpool *pool)
{
	return pool->wire.fd;
}

short objpool_events(const struct objpool *pool)
{
	return wire_unsent(&pool->wire) > 0 || receipts_due(&pool->receipts) ? POLLIN | POLLOUT : POLLIN;
}

int objpool_timeout_ms(const struct objpool *pool)
{
	if ((pool->lost && pool->pending.count > 0) || stream_due(pool))
		return 0;
	return clock_ms_until(clock_earlier(pending_deadline(&pool->pending), pool->trim_at));
}

/* What poll(2) says of the socket: its events, 0 when the time has passed, a negative errno. */
static int poll_socket(const struct objpool *pool, int64_t deadline)
{
	struct pollfd pollfd = {.fd = pool->wire.fd, .events = objpool_events(pool)};
	int n;

	do
		n = poll(&pollfd, 1, clock_ms_until(deadline));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : pollfd.revents;
}

int objpool_wait(struct objpool *pool, int timeout_ms)
{
	if (pool->dispatching)
		return -EDEADLK;
	if (stream_due(pool))
		return turn(pool, true, false);
	if (objpool_flush(pool) < 0)
		return turn(pool, false, false);
	const int64_t until = timeout_ms < 0 ? 0 : clock_now() + (int64_t)timeout_ms * CLOCK_NS_PER_MS;
	const int64_t deadline = clock_earlier(clock_earlier(until, pool->trim_at), pending_deadline(&pool->pending));
	if (deadline == 0 && wire_unsent(&pool->wire) == 0)
		return turn(pool, true, true); /* one system call less than with poll */
	const int events = poll_socket(pool, deadline);
	if (events < 0)
		return events;
	const int rc = turn(pool, (events & ~POLLOUT) != 0, false);
	return rc == 0 && events == 0 && until != 0 && clock_now() >= until ? -ETIMEDOUT : rc;
}

int objpool_drain(struct objpool *pool)
{
	int rc = pool->dispatching ? -EDEADLK : 0;

	while (rc == 0 && (pool->pending.count > 0 || pool->streams))
		rc = objpool_wait(pool, -1);
	return rc;
}

size_t objpool_in_flight(const struct objpool *pool)
{
	return pool->pending.count;
}

size_t objpool_unsent(const struct objpool *pool)
{
	return wire_unsent(&pool->wire);
}

void objpool_on_notification(struct objpool *pool, objpool_notification *callback, void *context)
{
	pool->on_notification = callback;
	pool->notification_context = context;
}

/* ---- beginning and end ------------------------------------------------------------------------------------------------- */

static int64_t hello_deadline(const struct objpool_connect_options *options)
{
	const int ms = options->timeout_ms ? options->timeout_ms : CONNECTION_HELLO_MS;
	return ms < 0 ? 0 : clock_now() + (int64_t)ms * CLOCK_NS_PER_MS;
}

struct greeting {
	struct objpool_result *result;
	bool done;
};

static void on_hello(void *context, const struct objpool_result *result)
{
	struct greeting *greeting = context;

	greeting->done = true;
	(void)objpool_result_copy(greeting->result, result);
}

static bool is_unix(int fd)
{
	int domain = 0;
	socklen_t size = sizeof domain;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

/* fds: true and the mark, from a daemon that knows of descriptors and is willing. */
static void agree_on_descriptors(struct objpool *pool)
{
	struct objpool_reader reader = objpool_reader(pool->hello.value);
	const char *key;
	size_t size;
	uint32_t count;
	uint64_t mark = 0;
	bool fds = false;

	if (objpool_read_map(&reader, &count) < 0)
		return;
	for (; count > 0 && objpool_read_str(&reader, &key, &size) == 0; count--) {
		const bool is_fds = size == 3 && memcmp(key, "fds", 3) == 0;
		const bool is_mark = size == 8 && memcmp(key, "fds_mark", 8) == 0;
		if ((!is_fds || objpool_read_bool(&reader, &fds) < 0) && (!is_mark || objpool_read_uint(&reader, &mark) < 0) &&
		    objpool_read_value(&reader, NULL) < 0)
			return;
	}
	if (!fds || mark == 0 || mark > UINT16_MAX)
		return;
	pool->receipts.mark = (uint16_t)mark;
	pool->parcels.on = pool->wire.receives = true;
}

static int say_hello(struct objpool *pool, const struct objpool_connect_options *options, int64_t deadline)
{
	const char *client = options->client ? options->client : program_invocation_short_name;
	struct greeting greeting = {.result = &pool->hello};
	struct objpool_packer args = OBJPOOL_PACKER_INIT;

	const bool fds = !options->no_descriptors && is_unix(pool->wire.fd);
	int rc = objpool_pack(&args, fds ? "[{s: s, s: s, s: b}]" : "[{s: s, s: s}]", "client", client, "errors", "map", "fds", true);
	if (rc == 0)
		rc = objpool_call_async(pool, "objpool.hello", objpool_packed(&args), NULL, on_hello, &greeting, NULL);
	objpool_packer_free(&args);
	while (rc == 0 && !greeting.done)
		rc = objpool_wait(pool, clock_ms_until(deadline));
	if (rc == 0 && !pool->hello.value.data)
		rc = pool->hello.error ? -EPROTO : -ENOMEM;
	if (rc == 0 && fds)
		agree_on_descriptors(pool);
	return rc == -ENOTCONN ? -EPROTO : rc;
}

static int greet(struct objpool **out, int fd, const struct objpool_connect_options *options, int64_t deadline)
{
	struct objpool *pool = calloc(1, sizeof *pool);

	if (!pool) {
		(void)close(fd);
		return -ENOMEM;
	}
	pool->streams_end = &pool->streams;
	payload_pool_init(&pool->parcels.warm, NULL);
	wire_open(&pool->wire, fd);
	const int rc = say_hello(pool, options, deadline);
	if (rc < 0) {
		destroy(pool);
		return rc;
	}
	*out = pool;
	return 0;
}

int objpool_connect(struct objpool **pool, const char *address, const struct objpool_connect_options *given)
{
	struct objpool_connect_options options;

	*pool = NULL;
	if (OPTIONS_TAKE(&options, given) < 0)
		return -EINVAL;
	const int64_t deadline = hello_deadline(&options);
	const int fd = endpoint_connect(address, deadline);
	return fd < 0 ? fd : greet(pool, fd, &options, deadline);
}

int objpool_adopt(struct objpool **pool, int fd, const struct objpool_connect_options *given)
{
	struct objpool_connect_options options;

	*pool = NULL;
	if (OPTIONS_TAKE(&options, given) < 0) {
		(void)close(fd);
		return -EINVAL;
	}
	return greet(pool, fd, &options, hello_deadline(&options));
}

struct objpool *objpool_close(struct objpool *pool)
{
	if (!pool)
		return NULL;
	pool->closing = true;
	if (!pool->dispatching)
		(void)turn(pool, false, false);
	return NULL;
}

struct objpool_bytes objpool_hello(const struct objpool *pool)
{
	return pool->hello.value;
}
