/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/locals.h"

#include "gateway/stream.h"
#include "gateway/watch.h"
#include "proto/gateway_link.h"
#include "proto/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	READ = 64 << 10, /* bytes of a read */
	TURN = 8,        /* reads of one session in a turn, at most */
};

struct local_socket {
	TAILQ_ENTRY(local_socket) link; /* in program->locals */
	TAILQ_ENTRY(local_socket) dirty_link;
	bool dirty;          /* in program->dirty_locals: it has something to send, or is to be closed */
	struct program *program;
	struct local *local;
	int fd;
	struct event *read, *write;
	bool reading, waits; /* whether these are added */
	bool closing;        /* the core is done with it: it is closed once its bytes are sent */
};

static struct local_socket *socket_of(const struct local *local)
{
	return local->owner;
}

static void set_dirty(struct local_socket *socket, bool dirty)
{
	if (dirty && !socket->dirty)
		TAILQ_INSERT_TAIL(&socket->program->dirty_locals, socket, dirty_link);
	else if (!dirty && socket->dirty)
		TAILQ_REMOVE(&socket->program->dirty_locals, socket, dirty_link);
	socket->dirty = dirty;
}

static void free_socket(struct local_socket *socket)
{
	set_dirty(socket, false);
	TAILQ_REMOVE(&socket->program->locals, socket, link);
	if (socket->read)
		event_free(socket->read);
	if (socket->write)
		event_free(socket->write);
	if (socket->fd >= 0)
		(void)close(socket->fd);
	(void)local_free(socket->local);
	free(socket);
}

static void on_gone(struct local_socket *socket)
{
	if (!socket->closing)
		gateway_on_local_gone(socket->local);
	free_socket(socket);
}

/* 1: there may be more to read. */
static int read_once(struct local_socket *socket)
{
	uint8_t bytes[READ];
	ssize_t n;

	do
		n = read(socket->fd, bytes, sizeof bytes);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	gateway_on_local_bytes(socket->local, (struct span){.bytes = bytes, .size = (size_t)n});
	return (size_t)n == sizeof bytes;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct local_socket *socket = context;
	int r = 1;

	(void)fd;
	(void)what;
	program_tick(socket->program);
	for (unsigned i = 0; r > 0 && i < TURN && !socket->closing && socket->local->reads; i++)
		r = read_once(socket);
	if (r < 0)
		on_gone(socket);
}

/* The turn's end sends. */
static void on_writable(evutil_socket_t fd, short what, void *context)
{
	struct local_socket *socket = context;

	(void)fd;
	(void)what;
	program_tick(socket->program);
	watch_set(socket->write, &socket->waits, false);
	set_dirty(socket, true);
}

static void send_out(struct local_socket *socket)
{
	const bool had = socket->local->out.bytes > 0;
	const int r = stream_send(socket->fd, &socket->local->out);

	if (r < 0) {
		on_gone(socket);
		return;
	}
	watch_set(socket->write, &socket->waits, r == 1);
	if (r == 0 && socket->closing)
		free_socket(socket);
	else if (had && !socket->closing)
		gateway_on_local_sent(socket->local);
}

void locals_end_turn(struct program *program)
{
	struct local_socket *socket;

	while ((socket = TAILQ_FIRST(&program->dirty_locals))) {
		set_dirty(socket, false);
		if (!socket->waits)
			send_out(socket);
	}
}

/* ---- a new session ---- */

static void drop_end(struct block *block)
{
	(void)close(block->fd);
	free(block);
}

/* A block for a send queue that holds the descriptor alone. Takes the descriptor. NULL: out of memory. */
static struct block *block_of(int fd)
{
	struct block *block = calloc(1, sizeof *block);

	if (!block) {
		(void)close(fd);
		return NULL;
	}
	*block = (struct block){.refs = 1, .fd = fd, .drop = drop_end, .given_away = true};
	return block;
}

static int write_session(struct local *local, struct block *end)
{
	struct sendq *to = &local->gateway->to_supervisor;
	const size_t host = local->host ? strlen(local->host) : 0, user = local->user ? strlen(local->user) : 0;

	sendq_pass(to, end);
	uint8_t *p = sendq_reserve(to, 3 * PACK_HEAD + 3 * PACK_UINT + host + user);
	if (!p)
		return -ENOMEM;
	uint8_t *q = pack_uint(pack_uint(pack_array(p, 4), FROM_GATEWAY_SESSION), local->number);
	q = local->host ? pack_str(q, local->host, host) : pack_nil(q);
	q = local->host ? pack_str(q, local->user, user) : pack_uint(q, local->sid);
	sendq_commit(to, (size_t)(q - p));
	return to->failed ? -ENOMEM : 0;
}

static int open_socket(struct local_socket *socket)
{
	struct program *program = socket->program;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		return -errno;
	socket->fd = ends[0];
	struct block *end = block_of(ends[1]);
	socket->read = event_new(program->base, socket->fd, EV_READ | EV_PERSIST, on_readable, socket);
	socket->write = event_new(program->base, socket->fd, EV_WRITE | EV_PERSIST, on_writable, socket);
	const int r = end && socket->read && socket->write ? write_session(socket->local, end) : -ENOMEM;
	(void)block_unref(end);
	return r;
}

int locals_open(struct local *local)
{
	struct program *program = program_of(local->gateway);
	struct local_socket *socket = calloc(1, sizeof *socket);

	if (!socket)
		return -ENOMEM;
	*socket = (struct local_socket){.program = program, .local = local, .fd = -1};
	TAILQ_INSERT_TAIL(&program->locals, socket, link);
	const int r = open_socket(socket);
	if (r < 0) {
		socket->local = NULL; /* the core keeps it */
		free_socket(socket);
		return r;
	}
	local->owner = socket;
	locals_reads(local);
	return 0;
}

void locals_wrote(struct local *local)
{
	set_dirty(socket_of(local), true);
}

void locals_reads(struct local *local)
{
	struct local_socket *socket = socket_of(local);

	watch_set(socket->read, &socket->reading, local->reads && !socket->closing);
}

void locals_close(struct local *local)
{
	struct local_socket *socket = socket_of(local);

	if (local->gateway->ending) { /* what the session holds is charged to the gateway, which is freed next */
		free_socket(socket);
		return;
	}
	socket->closing = true;
	watch_set(socket->read, &socket->reading, false);
	set_dirty(socket, true);
}

void locals_free_closing(struct program *program)
{
	struct local_socket *socket, *next;

	for (socket = TAILQ_FIRST(&program->locals); socket; socket = next) {
		next = TAILQ_NEXT(socket, link);
		if (socket->closing)
			free_socket(socket);
	}
}
