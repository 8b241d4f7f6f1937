/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/train.h"

#include "daemon/worker/quit.h"
#include "proto/pack.h"
#include "proto/rpc.h"

enum { LOOK_EVERY = 16 /* short calls between two looks at the clock */ };

struct train {
	uint64_t id, first, count;
	struct reader at; /* the next request */
	bool found;       /* the class has the method */
};

/* Reads [0, msgid, method, args]. The supervisor has found it to be that. */
static int read_request(struct task *task, struct reader *at, uint32_t *msgid)
{
	uint64_t type, id;
	struct span method, args;
	uint32_t n;

	if (read_array(at, &n) < 0 || read_uint(at, &type) < 0 || read_uint(at, &id) < 0 || read_text(at, &method) < 0)
		quit_protocol();
	*msgid = (uint32_t)id;
	struct reader ahead = *at;
	if (task_add_values(task, at) == 0)
		return 0;
	*at = ahead; /* the next request begins behind all arguments */
	if (read_value(at, &args) < 0)
		quit_protocol();
	return -1;
}

/* [1, msgid, nil; the value follows. */
static void put_response_head(struct host *host, uint32_t msgid)
{
	uint8_t head[3 + PACK_UINT], *p = head;

	*p++ = 0x94;
	*p++ = RPC_RESPONSE;
	p = pack_uint(p, msgid);
	p = pack_nil(p);
	reply_put(&host->reply, head, (size_t)(p - head));
}

/* The value has become large: it goes beside the socket, and not as a response. */
static void lend(struct host *host, const struct train *train)
{
	reply_end_results(&host->reply);
	reply_lend(&host->reply, host->reply.size, (uint32_t)train->id);
	reply_seal(&host->reply);
	host->reply_keeps = true;
}

/* Runs the method, whose arguments are there. The response is written as the next value of the open RESULTS. */
static int answer(struct host *host, const struct train *train, uint64_t item, uint32_t msgid)
{
	struct reply *reply = &host->reply;

	if (!reply_in_results(reply))
		reply_begin_results(reply, (uint32_t)train->id, item);
	put_response_head(host, msgid);
	reply->alone = true;
	reply->session = host->task.handle.call.session;
	const int r = run_method(&host->task, &host->method);
	reply->alone = false;
	if (r == 0 && reply->large) {
		lend(host, train);
	} else if (r == 0) {
		reply_value_done(reply);
	} else if (r > 0) {
		reply_end_results(reply);
		host_put_deferred(host, train->id, item);
	}
	return r;
}

static void run_call(struct host *host, struct train *train, uint64_t item)
{
	struct task *task = &host->task;
	uint32_t msgid;

	task_clear(task);
	const bool args = read_request(task, &train->at, &msgid) == 0;
	if (!train->found)
		task_fail(task, "NO_SUCH_METHOD", "no", "class %s has no such method", task->plugin->class.name);
	if (!args || !train->found || answer(host, train, item, msgid) < 0)
		host_put_item_error(host, (uint32_t)train->id, item);
	host_put_answers(host);
}

/* Finished answers don't wait for calls that take long. False: nobody waits for the rest. */
static bool between_calls(struct host *host, const struct train *train, uint32_t i)
{
	if (board_state(host->board, (uint32_t)train->id) == BOARD_CANCELLED)
		return false;
	if (host->method_cost < HOST_SHORT_METHOD && i % LOOK_EVERY != 0)
		return true;
	if (host_clock() - host->flushed > HOST_FLUSH_AFTER) {
		reply_end_results(&host->reply);
		host_flush(host);
		host->flushed = host_clock();
	}
	return true;
}

/* Nobody waits for the rest; the supervisor wants an answer for each all the same. */
static uint32_t skip_calls(struct host *host, const struct train *train, uint32_t i)
{
	for (; i < train->count && board_begin_item(host->board, (uint32_t)train->id); i++) {
		task_fail(&host->task, "CANCELLED", "no", "the call was cancelled");
		host_put_item_error(host, (uint32_t)train->id, train->first + i);
	}
	return i;
}

/* Returns how many calls have run: the supervisor may have taken back the rest. */
static uint32_t run_calls(struct host *host, struct train *train)
{
	uint32_t i = 0;

	for (; i < train->count; i++) {
		if (i > 0 && !between_calls(host, train, i)) {
			i = skip_calls(host, train, i);
			break;
		}
		if (!board_begin_item(host->board, (uint32_t)train->id))
			break;
		board_begin_call(host->board, (uint32_t)train->id, (uint32_t)(train->first + i));
		run_call(host, train, train->first + i);
		if (reply_results_size(&host->reply) > RESULTS_AHEAD) {
			reply_end_results(&host->reply);
			host_flush(host);
		}
	}
	reply_end_results(&host->reply);
	return i;
}

/* What is the same for all calls of the train. */
static void begin_task(struct task *task)
{
	task->handle.call.deadline = 0;
	task->handle.call.index = 0;
	task->wants_progress = task->wants_values = false;
	task->yielded = 0;
	task->progress_at = 0;
	task->progress_ended = false;
	task->single = true;
}

void train_on_message(struct host *host, struct reader *reader)
{
	struct train train;
	struct span name;
	uint32_t n;

	if (read_uint(reader, &train.id) < 0 || read_uint(reader, &host->task.handle.call.session) < 0 ||
	    read_text(reader, &name) < 0 || read_uint(reader, &train.first) < 0 || read_uint(reader, &train.count) < 0 ||
	    read_array(reader, &n) < 0 || n != train.count)
		quit_protocol();
	train.at = *reader;
	train.found = host_find_method(host, name) == 0;
	if (!host_begin_batch(host, (uint32_t)train.id))
		return;
	begin_task(&host->task);
	const uint32_t ran = run_calls(host, &train);
	if (ran < train.count)
		host_put_passed(host, (uint32_t)train.id);
	host_end_batch(host, (uint32_t)train.id, ran);
}
