/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that send a worker whatever they like on its direct channels, don't read, cancel, shut down or go, while the supervisor
 * ends the channels: each step of the input is a byte, and, where something is sent, the number of bytes and the bytes. The last
 * channel has rings, whose memory its client may overwrite.
 * make_corpus.py writes steps by these names.
 */
#include "daemon/worker/direct.h"
#include "daemon/worker/plugin_load.h"
#include "daemon/worker/services.h"
#include "proto/pack.h"
#include "proto/rings.h"
#include "proto/rpc.h"
#include "proto/scan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum step {               /* the low four bits are a number: the last two of them, of a channel */
	    SENDS = 0x00, /* so many bytes as the next byte says, and one more */
	    TURN = 0x10,  /* of the worker */
	    READS = 0x20,
	    SHUTS_DOWN = 0x30, /* its sending side */
	    GOES = 0x40,
	    CANCELS = 0x50,   /* the message whose number is the next byte */
	    DETACH = 0x60,    /* by the supervisor, with a reason */
	    CUT = 0x70,       /* likewise, without */
	    LATER = 0x80,     /* 0.2 s pass */
	    SCRIBBLES = 0x90, /* the next two bytes: which word of the rings, and how many bytes more it says */
	    STEP = 0xf0,      /* the mask */
};
enum { CHANNELS = 3, WITH_RINGS = 2, MAX_MESSAGE = 1 << 16, ROOM = 1 << 18, TURNS_MAX = 1000 };

/* ---- the class ---- */

static int create(struct objpool_call *call, const struct objpool_args *args, void **self)
{
	(void)call, (void)args, (void)self;
	return 0; /* nobody calls it: the worker is never told to start */
}

static int echo(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)call;
	msgpack_pack_array(result, args->count);
	for (uint32_t i = 0; i < args->count; i++)
		msgpack_pack_object(result, args->values[i]);
	return 0;
}

static int refuse(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	static const char data[] = "data";

	(void)self, (void)args, (void)result;
	return objpool_fail_with(call,
				 &(const struct objpool_failure){.type = "T", .message = "no", .data = data, .data_size = 4});
}

static int much(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	static const char zeros[50000];

	(void)self, (void)call, (void)args;
	msgpack_pack_bin(result, sizeof zeros);
	return msgpack_pack_bin_body(result, zeros, sizeof zeros);
}

/* Tells its progress, commits itself, and tries what it can't do there. */
static int act(void *self, struct objpool_call *call, const struct objpool_args *args, msgpack_packer *result)
{
	(void)self, (void)args;
	(void)objpool_progress(call, 1, 2, "half");
	(void)objpool_yield(call, "\xc0", 1);
	if (objpool_cancelled(call) || objpool_commit(call) < 0)
		return objpool_fail(call, NULL, "cancelled");
	(void)objpool_defer(call, 0);
	return msgpack_pack_nil(result);
}

static const struct objpool_method methods[] = {{.name = "echo", .call = echo, .max_args = -1},
						{.name = "refuse", .call = refuse, .max_args = -1},
						{.name = "much", .call = much, .max_args = -1},
						{.name = "act", .call = act, .max_args = 2, .flags = OBJPOOL_METHOD_KWARGS},
						{.name = NULL}};
static const struct objpool_class class = {OBJPOOL_CLASS_HEAD, .name = "Fuzzed", .create = create, .methods = methods};
static const struct objpool_class *const classes[] = {&class, NULL};
static const struct objpool_plugin exported = {OBJPOOL_PLUGIN_HEAD, .name = "fuzzed", .version = "1", .classes = classes};

/* ---- the worker ---- */

struct channel {
	int fd; /* the client's end; -1: it has gone */
	struct rings rings;
	bool scribbled; /* what comes may be nonsense */
	uint8_t come[ROOM];
	size_t size; /* bytes that have come and are no whole message */
	uint64_t answers;
};

static struct board board;
static struct channel channels[CHANNELS];
static int supervisor; /* its end */

static void set_up(struct host *host, const struct plugin *plugin)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	supervisor = ends[0];
	host->board = &board;
	memset(&board.direct, 0, sizeof board.direct);
	inbox_init(&host->inbox, ends[1]);
	if (reply_init(&host->reply, ends[1], &board) < 0 || task_init(&host->task, plugin, &services, &host->reply, &board) < 0)
		abort();
	host->task.place.pool = "p";
	host->task.max_result = MAX_MESSAGE;
	deferrals_init(&host->deferrals, &host->task, &board);
	host->task.deferrals = &host->deferrals;
	host->task.inbox = &host->inbox;
	host->task.mappings = &host->inbox.mappings;
	host->now = host_clock();
}

static void tear_down(struct host *host)
{
	directs_free(host);
	deferrals_free(&host->deferrals);
	host->task.place.pool = NULL;
	task_free(&host->task);
	reply_free(&host->reply);
	(void)close(host->inbox.fd);
	inbox_free(&host->inbox);
	(void)close(supervisor);
	free(host);
}

/* The worker has offered rings on the socket. */
static void open_rings(struct channel *channel)
{
	char come[64];
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(RINGS_FILES * sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = come, .iov_len = sizeof come};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int files[RINGS_FILES];

	if (recvmsg(channel->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0 || header.msg_controllen == 0)
		abort();
	memcpy(files, CMSG_DATA(&control.head), sizeof files);
	if (rings_open(&channel->rings, files) < 0)
		abort();
}

/* [FILES, [0]] with the socket, and [ATTACH, place, session, error form, tell every, stop_timeout, rings?] */
static void attach(struct host *host, uint8_t place)
{
	int ends[2];
	uint8_t message[32], *p = message;
	struct iovec iov = {.iov_base = message};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	struct span got;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	p = pack_uint(pack_array(pack_uint(pack_array(p, 2), TO_FILES), 1), 0);
	p = pack_uint(pack_uint(pack_uint(pack_array(p, 7), TO_ATTACH), place), 1);
	p = pack_uint(pack_uint(pack_uint(pack_uint(p, place % 2), 5), 300000000), place == WITH_RINGS);
	iov.iov_len = (size_t)(p - message);
	memcpy(CMSG_DATA(&control.head), &ends[1], sizeof ends[1]);
	if (sendmsg(supervisor, &header, MSG_NOSIGNAL) != p - message || inbox_fill(&host->inbox, UINT64_MAX) != 1 ||
	    !inbox_next(&host->inbox, &got))
		abort();
	(void)close(ends[1]);
	struct reader reader = {.p = got.bytes + 2, .end = got.bytes + got.size}; /* behind the head and the type */
	directs_on_attach(host, &reader);
	channels[place].fd = ends[0];
	channels[place].size = 0;
	channels[place].answers = 0;
	channels[place].scribbled = false;
	if (place == WITH_RINGS)
		open_rings(&channels[place]);
}

static void detach(struct host *host, uint8_t place, const char *reason)
{
	uint8_t message[32];
	const uint8_t *end = pack_str(pack_uint(message, place), reason, strlen(reason));
	struct reader reader = {.p = message, .end = end};

	directs_on_detach(host, &reader);
}

static void turn(struct host *host)
{
	static uint8_t said[1 << 16];

	if (directs_any(host))
		(void)directs_fill(host, 1); /* does not wait */
	(void)directs_take_turns(host);
	host_flush(host);
	while (recv(supervisor, said, sizeof said, MSG_DONTWAIT) > 0)
		;
}

/* ---- the clients ---- */

static void check(struct channel *channel, struct span message)
{
	struct rpc rpc;

	if (rpc_parse(message, &rpc) < 0 || rpc.type == RPC_REQUEST)
		abort(); /* a worker says no such thing */
	channel->answers += rpc.type == RPC_RESPONSE;
}

static ssize_t receive(struct channel *channel)
{
	uint8_t *to = channel->come + channel->size;
	const size_t room = ROOM - channel->size;

	return channel->rings.memory ? rings_take(&channel->rings, to, room) : recv(channel->fd, to, room, MSG_DONTWAIT);
}

static void read_answers(struct channel *channel)
{
	ssize_t n;
	int64_t size = 0;

	while (channel->fd >= 0 && (n = receive(channel)) > 0) {
		if (channel->scribbled)
			continue;
		channel->size += (size_t)n;
		size_t used = 0;
		while (used < channel->size && (size = scan_length(channel->come + used, channel->size - used)) > 0) {
			check(channel, (struct span){.bytes = channel->come + used, .size = (size_t)size});
			used += (size_t)size;
		}
		if (used < channel->size && size < 0)
			abort(); /* no msgpack */
		memmove(channel->come, channel->come + used, channel->size - used);
		channel->size -= used;
	}
}

static void go(struct channel *channel)
{
	if (channel->fd >= 0)
		(void)close(channel->fd);
	channel->fd = -1;
	if (channel->rings.memory)
		rings_close(&channel->rings);
}

static void scribble(struct channel *channel, uint8_t which, uint8_t more)
{
	const struct rings *rings = &channel->rings;

	if (!rings->memory)
		return;
	_Atomic uint64_t *words[] = {&rings->out->written, &rings->out->read, &rings->in->written, &rings->in->read};
	atomic_fetch_add(words[which % 4], (uint64_t)more << which / 4);
	channel->scribbled = true;
}

static const uint8_t *say(struct channel *channel, const uint8_t *p, const uint8_t *end)
{
	const size_t left = (size_t)(end - p), n = left > *p ? (size_t)*p + 1 : left;

	if (channel->rings.memory)
		(void)rings_put(&channel->rings, p, n);
	else if (channel->fd >= 0)
		(void)!send(channel->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	return p + n;
}

static const uint8_t *do_step(struct host *host, const uint8_t *p, const uint8_t *end)
{
	const uint8_t step = *p & STEP, place = *p % 4 % CHANNELS;
	struct channel *channel = &channels[place];

	p++;
	if (step == SENDS)
		return p < end ? say(channel, p, end) : p;
	if (step == READS)
		read_answers(channel);
	else if (step == SHUTS_DOWN && channel->fd >= 0)
		(void)shutdown(channel->fd, SHUT_WR);
	else if (step == GOES)
		go(channel);
	else if (step == CANCELS && p < end)
		(void)board_direct_cancel(&board.direct, place, *p++);
	else if (step == DETACH || step == CUT)
		detach(host, place, step == CUT ? "" : "replaced");
	else if (step == SCRIBBLES && end - p >= 2)
		scribble(channel, p[0], p[1]), p += 2;
	else if (step == LATER)
		host->now += 200000000;
	turn(host);
	return p;
}

/* Each channel ends when its client has gone, and no message was answered twice. */
static void finish(struct host *host)
{
	for (unsigned i = 0; i < CHANNELS; i++) {
		read_answers(&channels[i]);
		if (!channels[i].scribbled && channels[i].answers > board_direct_begun(&board.direct, i) + 1)
			abort(); /* one may be to bytes that are no message */
		go(&channels[i]);
	}
	for (unsigned i = 0; directs_any(host); i++) {
		if (i == TURNS_MAX)
			abort();
		turn(host);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct plugin plugin;
	const uint8_t *p = bytes, *end = bytes + size;
	struct host *host = calloc(1, sizeof *host);
	char fault[256];

	if (!host || (!plugin.class.name && plugin_link(&plugin, &exported, "Fuzzed", fault, sizeof fault) < 0))
		abort();
	set_up(host, &plugin);
	for (uint8_t i = 0; i < CHANNELS; i++)
		attach(host, i);
	while (p < end)
		p = do_step(host, p, end);
	finish(host);
	tear_down(host);
	return 0;
}
