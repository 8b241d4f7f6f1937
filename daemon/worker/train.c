/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/train.h"

#include "daemon/worker/many.h"
#include "daemon/worker/quit.h"
#include "proto/rpc.h"

struct train {
	struct many many;
	struct reader at; /* the next request */
	uint32_t msgid;   /* of the call that runs */
};

/* Reads [0, msgid, method, args]. The supervisor has found it to be that. */
static int read_request(struct many *many)
{
	struct train *train = container_of(many, struct train, many);
	struct reader *at = &train->at;
	uint64_t type, id;
	struct span method, args;
	uint32_t n;

	board_begin_call(many->host->board, (uint32_t)many->id, (uint32_t)many_task(many));
	if (read_array(at, &n) < 0 || read_uint(at, &type) < 0 || read_uint(at, &id) < 0 || read_text(at, &method) < 0)
		quit_protocol();
	train->msgid = (uint32_t)id;
	struct reader ahead = *at;
	if (task_add_values(&many->host->task, at) == 0)
		return 0;
	*at = ahead; /* the next request begins behind all arguments */
	if (read_value(at, &args) < 0)
		quit_protocol();
	return -1;
}

/* [1, msgid, nil; the value follows. It goes beside the socket if it becomes large. */
static void put_response_head(struct many *many)
{
	struct host *host = many->host;

	host_put_response_head(host, container_of(many, struct train, many)->msgid, true);
	host->reply.alone = true;
	host->reply.session = host->task.handle.call.session;
}

static const struct many_kind train_kind = {
	.read = read_request, .put_head = put_response_head, .patience = HOST_FLUSH_AFTER, .look_every = 16};

void train_on_message(struct host *host, struct reader *reader)
{
	struct train train = {.many = {.host = host, .kind = &train_kind}};
	struct many *many = &train.many;
	struct span name;
	uint32_t n;

	if (read_uint(reader, &many->id) < 0 || read_uint(reader, &host->task.handle.call.session) < 0 ||
	    read_text(reader, &name) < 0 || read_uint(reader, &many->first) < 0 || read_uint(reader, &many->count) < 0 ||
	    read_array(reader, &n) < 0 || n != many->count)
		quit_protocol();
	train.at = *reader;
	many->found = host_find_method(host, name) == 0;
	if (!host_begin_batch(host, (uint32_t)many->id))
		return;
	task_begin(&host->task, true);
	host->task.handle.call.deadline = 0;
	host->task.handle.call.index = 0;
	const uint32_t ran = many_run(many);
	if (ran < many->count)
		host_put_passed(host, (uint32_t)many->id);
	host_end_batch(host, (uint32_t)many->id, ran);
}
