/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/direct_call.h"

#include "daemon/worker/direct_deferred.h"
#include "daemon/worker/direct_error.h"
#include "daemon/worker/direct_service.h"
#include "proto/rpc.h"

#include <string.h>

#define MILLISECONDS_MAX (UINT64_MAX / 2 / 1000000) /* a longer timeout is none */

/* ---- answering ---- */

/* Moves the response that was written from `start` on to the channel. -1: there is no memory for it. */
static int move_response(struct host *host, struct direct_channel *channel, size_t start)
{
	const int r = direct_channel_put(channel, host->reply.bytes + start, host->reply.size - start);

	reply_drop(&host->reply, start);
	return r < 0 ? -1 : 0;
}

static void pack_error(struct host *host, const struct direct_channel *channel)
{
	struct task *task = &host->task;
	struct method_error *error = &task->handle.error;

	reply_mark(&host->reply, task->max_result);
	direct_error_pack(error, &task->place, channel->error_form, &task->packer);
	if (!host->reply.too_large && !host->reply.failed)
		return;
	const unsigned long long size = host->reply.too_large;
	reply_rewind(&host->reply);
	if (size > 0)
		method_error_set(error, "FAILED", error->ran, "the method failed; its error is %llu bytes, over max_message",
				 size);
	else
		error->no_memory = true;
	reply_mark(&host->reply, UINT64_MAX);
	direct_error_pack(error, &task->place, channel->error_form, &task->packer);
}

/* Answers with the task's error. If there is no memory even for that, the channel ends. */
static void put_error(struct host *host, struct direct_channel *channel, uint32_t msgid)
{
	const size_t start = reply_begin(&host->reply);

	host_put_response_head(host, msgid, false);
	pack_error(host, channel);
	host_put_nil(host);
	if (move_response(host, channel, start) < 0)
		direct_channel_cut(channel);
	method_error_forget(&host->task.handle.error);
}

/* The same for what may be a notification, which nothing answers. */
static void answer_error(struct host *host, const struct direct_call *call)
{
	if (call->request)
		put_error(host, call->channel, call->msgid);
	else
		method_error_forget(&host->task.handle.error);
}

void direct_call_garbage(struct host *host, struct direct_channel *channel, const char *reason)
{
	task_fail(&host->task, "BAD_REQUEST", "no", "%s; the connection is closed", reason);
	put_error(host, channel, 0);
	direct_channel_flush(channel, host->now);
	channel->protocol_error = true;
}

void direct_call_too_large(struct host *host, struct direct_channel *channel, struct span beginning)
{
	uint32_t msgid;

	channel->number++;
	atomic_store(&host->board->direct.places[channel->place].begun, channel->number);
	if (rpc_peek_msgid(beginning, &msgid) == 0) {
		task_fail(&host->task, "TOO_LARGE", "no", "the message is over max_message = %llu bytes",
			  (unsigned long long)channel->limit);
		put_error(host, channel, msgid);
	} else if (beginning.size < 2 || beginning.bytes[0] != (BYTE_FIXARRAY | 3) || beginning.bytes[1] != RPC_NOTIFICATION) {
		direct_call_garbage(host, channel, "a message over max_message that is no request");
	}
}

/* ---- what is called ---- */

/* A call as it was asked for: all spans lie in the message. */
struct asked {
	struct span method, args, kwargs;
	uint64_t deadline; /* 0: none */
	bool progress;
	struct span traceparent; /* size 0: none */
};

static int bad_request(struct host *host, const char *text)
{
	return task_fail(&host->task, "BAD_REQUEST", "no", "%s", text);
}

static int read_timeout(struct host *host, const struct direct_channel *channel, struct reader *value, struct asked *asked)
{
	uint64_t milliseconds;

	if (read_whole(value, &milliseconds) < 0)
		return bad_request(host, "option timeout_ms must be a whole number of milliseconds");
	asked->deadline = milliseconds < MILLISECONDS_MAX ? channel->read_at + milliseconds * 1000000 : 0;
	return 0;
}

static int read_option(struct host *host, const struct direct_channel *channel, struct span key, struct span value,
		       struct asked *asked)
{
	struct reader look = reader_of(value);
	uint32_t n;

	if (read_nil(&look) == 0)
		return 0; /* it is not given */
	if (span_is(key, "timeout_ms"))
		return read_timeout(host, channel, &look, asked);
	if (span_is(key, "kwargs")) {
		asked->kwargs = value;
		return read_map(&look, &n) < 0 ? bad_request(host, "option kwargs must be a map") : 0;
	}
	if (span_is(key, "traceparent") && (read_text(&look, &asked->traceparent) < 0 ||
					    !traceparent_is_one(asked->traceparent.bytes, asked->traceparent.size)))
		return bad_request(host, "option traceparent must be as in W3C Trace Context: 00-TRACE-SPAN-FLAGS");
	if (span_is(key, "traceparent"))
		return 0;
	if (span_is(key, "progress"))
		return read_bool(&look, &asked->progress) < 0 ? bad_request(host, "option progress must be true or false") : 0;
	return task_fail(&host->task, "BAD_REQUEST", "no", "there is no option \"%.*s\" on a direct channel", SPAN_TEXT(key, 80));
}

static int read_options(struct host *host, const struct direct_channel *channel, struct reader *reader, struct asked *asked)
{
	struct span key, value;
	uint32_t n;

	if (read_nil(reader) == 0)
		return 0;
	if (read_map(reader, &n) < 0)
		return bad_request(host, "the options of objpool.call must be a map");
	for (; n > 0; n--) {
		if (read_text(reader, &key) < 0 || read_value(reader, &value) < 0)
			return bad_request(host, "the names of options must be strings");
		if (read_option(host, channel, key, value, asked) < 0)
			return -1;
	}
	return 0;
}

/* objpool.call [nil, method, args, options] */
static int read_full(struct host *host, const struct direct_channel *channel, struct span params, struct asked *asked)
{
	static const uint8_t none[] = {BYTE_FIXARRAY};
	struct reader reader = reader_of(params);
	uint32_t n, args;

	if (read_array(&reader, &n) < 0 || n < 2 || n > 4 || read_nil(&reader) < 0 || read_text(&reader, &asked->method) < 0)
		return bad_request(host, "objpool.call takes [nil, method, args, options] on a direct channel");
	asked->args = (struct span){.bytes = none, .size = 1};
	if (n > 2 && read_nil(&reader) < 0) {
		struct reader look = reader;
		if (read_array(&look, &args) < 0 || read_value(&reader, &asked->args) < 0)
			return bad_request(host, "the args of objpool.call must be an array");
	}
	return n > 3 ? read_options(host, channel, &reader, asked) : 0;
}

static bool is_own(struct span method)
{
	static const char own[] = "objpool.";
	return method.size >= sizeof own - 1 && memcmp(method.bytes, own, sizeof own - 1) == 0;
}

static int read_asked(struct host *host, const struct direct_channel *channel, const struct rpc *rpc, struct asked *asked)
{
	struct reader look = reader_of(rpc->params);
	uint32_t n;

	*asked = (struct asked){.method = rpc->method, .args = rpc->params};
	if (is_own(rpc->method) && span_is(rpc->method, "objpool.call"))
		return read_full(host, channel, rpc->params, asked);
	if (is_own(rpc->method))
		return task_fail(&host->task, "NO_SUCH_METHOD", "no",
				 "a direct channel has no method \"%.*s\": the daemon's own are called on its connection",
				 SPAN_TEXT(rpc->method, 80));
	return read_array(&look, &n) < 0 ? bad_request(host, "params must be an array of arguments") : 0;
}

/* ---- calling ---- */

/* The place on the board where the method is counted; the last one is for names that the class lacks, or that are too many. */
static uint32_t find_place(struct direct_board *board, const char *name)
{
	const uint32_t others = DIRECT_METHODS - 1;
	const uint32_t count = atomic_load_explicit(&board->methods, memory_order_relaxed);
	uint32_t i = 0;

	while (name && i < count && strcmp(board->measures[i].name, name) != 0)
		i++;
	if (name && i < count)
		return i;
	if (!name || i == others || strlen(name) >= DIRECT_NAME) {
		strcpy(board->measures[others].name, "(other)");
		return others;
	}
	strcpy(board->measures[i].name, name);
	atomic_store_explicit(&board->methods, i + 1, memory_order_release);
	return i;
}

static struct direct_measure *measure_of(struct host *host, struct direct_counting *counting)
{
	struct direct_board *board = &host->board->direct;

	if (!counting->known || strcmp(counting->name, host->method_name) != 0) {
		counting->place =
			find_place(board, host->method.method.call || host->method.method.many ? host->method_name : NULL);
		strcpy(counting->name, host->method_name);
		counting->known = true;
	}
	atomic_store_explicit(&board->method, counting->place, memory_order_relaxed);
	return &board->measures[counting->place];
}

static int add_arguments(struct task *task, const struct asked *asked)
{
	struct reader args = reader_of(asked->args);

	return task_add_values(task, &args) < 0 || task_add_map(task, asked->kwargs) < 0 ? -1 : 0;
}

static void set_up(struct task *task, struct direct_call *call, const struct asked *asked)
{
	task_clear(task);
	task_begin(task, true);
	task->direct = call;
	task->progress.wanted = asked->progress && call->request;
	task->handle.call.session = call->channel->session;
	task->handle.call.deadline = asked->deadline;
	(void)task_trace_by(task, asked->traceparent); /* read_option has checked it */
	task->handle.call.index = 0;
}

static void take_down(struct host *host)
{
	host->task.direct = NULL;
}

/* Runs the method. Its response is the reply's bytes from *start on. 0; 1: it has put its answer off; or -1 with the error set. */
static int run(struct host *host, struct direct_call *call, const struct asked *asked, size_t *start)
{
	struct task *task = &host->task;

	set_up(task, call, asked);
	*start = reply_begin(&host->reply);
	host_put_response_head(host, call->msgid, true);
	const int r = add_arguments(task, asked) == 0 ? run_method(task, &host->method) : -1;
	take_down(host);
	return r;
}

/* Calls the method, and says on the board what runs and how long it took. */
static void call_method(struct host *host, struct direct_call *call, struct direct_counting *counting, const struct asked *asked)
{
	struct direct_channel *channel = call->channel;
	struct direct_measure *measure = measure_of(host, counting);
	const uint64_t before = host->now;
	size_t start;

	atomic_store_explicit(&host->board->since, before, memory_order_release);
	const int r = run(host, call, asked, &start);
	host->now = host_clock();
	const uint64_t spent = host->now - before;
	host->method_cost = spent > host->method_cost ? spent : host->method_cost - host->method_cost / 64;
	board_direct_count(measure, spent, r < 0);
	atomic_store_explicit(&host->board->since, 0, memory_order_release);
	(void)deferred_take(&host->task);
	if (channel->told)
		direct_deferred_end_waiters(channel);
	if (r != 0 || !call->request)
		reply_drop(&host->reply, start);
	else if (move_response(host, channel, start) < 0)
		task_no_memory(&host->task, "yes");
	if (host->task.handle.error.code)
		answer_error(host, call);
	host_put_answers(host); /* to deferred calls of others */
}

/* 0: it has been called; -1: it is refused, with the error set. */
static int begin(struct host *host, struct direct_call *call, struct direct_counting *counting, const struct rpc *rpc)
{
	struct asked asked;

	if (read_asked(host, call->channel, rpc, &asked) < 0)
		return -1;
	if (asked.deadline && host->now >= asked.deadline)
		return task_fail(&host->task, "TIMEOUT", "no", "the call's time is over");
	if (host_find_method(host, asked.method) < 0)
		return -1;
	if (host->method_cost >= HOST_SHORT_METHOD)
		direct_channel_flush(call->channel, host->now);
	call_method(host, call, counting, &asked);
	return 0;
}

static void answer_ping(struct host *host, const struct direct_call *call, const struct rpc *rpc)
{
	if (scan_nesting(rpc->params.bytes, rpc->params.size) > SCAN_LEVELS + 1) {
		task_fail(&host->task, "BAD_REQUEST", "no", "a value is nested deeper than %d levels", SCAN_LEVELS);
		put_error(host, call->channel, call->msgid);
		return;
	}
	const size_t start = reply_begin(&host->reply);
	host_put_response_head(host, call->msgid, true);
	const int r = direct_channel_put(call->channel, host->reply.bytes + start, host->reply.size - start);
	reply_drop(&host->reply, start);
	if (r < 0 || direct_channel_put(call->channel, rpc->params.bytes, rpc->params.size) < 0)
		direct_channel_cut(call->channel);
}

static void carry_out(struct host *host, struct direct_call *call, struct direct_counting *counting, const struct rpc *rpc)
{
	if (call->request && is_own(rpc->method) && span_is(rpc->method, "objpool.ping"))
		answer_ping(host, call, rpc);
	else if (begin(host, call, counting, rpc) < 0)
		answer_error(host, call);
}

void direct_call_run(struct host *host, struct direct_channel *channel, struct direct_counting *counting, struct span message)
{
	struct direct_board *board = &host->board->direct;
	struct rpc rpc;

	if (rpc_parse(message, &rpc) < 0) {
		direct_call_garbage(host, channel, "a message that is no MessagePack-RPC");
		return;
	}
	struct direct_call call = {
		.channel = channel, .request = rpc.type == RPC_REQUEST, .msgid = rpc.msgid, .number = channel->number};
	const bool begins = board_direct_begin(board, channel->place, channel->number++, !call.request);
	if (rpc.type == RPC_RESPONSE || (call.request && channel->dead)) {
		/* nobody is asked anything here; nobody reads the answer */
	} else if (begins) {
		carry_out(host, &call, counting, &rpc);
	} else if (call.request) {
		task_fail(&host->task, "CANCELLED", "no", "the call was cancelled by its caller");
		put_error(host, channel, call.msgid);
	}
	board_direct_end(board);
}
