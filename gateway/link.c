/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/link.h"

#include "gateway/stream.h"
#include "gateway/watch.h"
#include "proto/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	READ = 256 << 10,    /* bytes of a read, at least */
	BEHIND = 64 << 10,   /* the same, behind messages that the core refers to */
	TURN = 64,           /* reads in a turn, at most */
};

/* The envelope that MESSAGE puts around a client's message. */
enum { AROUND = 32 };

struct link {
	struct program *program;
	int fd;
	struct event *read, *write;
	bool reading, waits; /* whether these are added */
	int (*on_message)(struct program *program, struct span message, struct block *block);
	struct block *in;    /* what has come and has not been taken; NULL: nothing */
	size_t begin, end;   /* of it in `in` */
	struct scan scan;    /* of the message at `begin` */
};

static void end_program(struct link *link, const char *reason)
{
	if (reason)
		fprintf(stderr, "objpool-gateway: %s: it ends\n", reason);
	link->program->over = true;
	link->program->exit_status = reason ? 1 : 0;
}

static bool has_room(const struct link *link)
{
	return link->in && link->in->capacity - link->end >= (link->in->refs == 1 ? READ : BEHIND);
}

/* Makes room for a read behind what has come. The core refers to messages of calls that have no answer yet: what comes next lies
 * behind these, as long as there is room, else each such call would keep a block of its own. */
static int make_room(struct link *link)
{
	const size_t held = link->end - link->begin;

	if (held == 0 && link->in && link->in->refs == 1)
		link->begin = link->end = 0;
	if (has_room(link))
		return 0;
	if (link->in && link->in->refs == 1 && link->in->capacity >= BLOCK_LARGE && link->begin == 0)
		return block_grow(link->in, 2 * link->in->capacity);
	const size_t room = held > READ / 2 ? 2 * held + READ : READ + held;
	/* Few small blocks are full, and the core refers to those of calls: empty room must not use up what it may hold. */
	struct block *block = block_new(room >= BLOCK_LARGE ? &link->program->gateway->memory : NULL, room);
	if (!block)
		return -ENOMEM;
	if (held > 0)
		memcpy(block->bytes, link->in->bytes + link->begin, held);
	(void)block_unref(link->in);
	link->in = block;
	link->begin = 0;
	link->end = held;
	return 0;
}

/* 1: a message was taken; 0: there is no whole one. */
static int take_message(struct link *link)
{
	const uint8_t *at = link->in->bytes + link->begin;
	int r = scan_run(&link->scan, at, link->end - link->begin);

	if (r <= 0)
		return r;
	const struct span message = {.bytes = at, .size = (size_t)link->scan.pos};
	r = link->scan.deep || link->scan.over ? -EBADMSG : link->on_message(link->program, message, link->in);
	link->begin += message.size;
	scan_begin(&link->scan, GATEWAY_MESSAGE_MAX + AROUND);
	return r < 0 ? r : 1;
}

static int take_messages(struct link *link)
{
	int r = 1;

	while (r > 0 && link->begin < link->end)
		r = take_message(link);
	if (r >= 0 && link->begin == link->end && link->in->capacity >= BLOCK_LARGE) {
		link->begin = link->end = 0;
		link->in = block_unref(link->in);
	}
	return r < 0 ? r : 0;
}

/* 1: there may be more to read. */
static int read_once(struct link *link)
{
	ssize_t n;

	if (make_room(link) < 0)
		return -ENOMEM;
	const size_t room = link->in->capacity - link->end;
	do
		n = read(link->fd, link->in->bytes + link->end, room);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	link->end += (size_t)n;
	gateway_hears_daemon(link->program->gateway);
	const int r = take_messages(link);
	return r < 0 ? r : (size_t)n == room;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct link *link = context;
	int r = 1;

	(void)fd;
	(void)what;
	program_tick(link->program);
	for (unsigned i = 0; r > 0 && i < TURN && gateway_reads_supervisor(link->program->gateway); i++)
		r = read_once(link);
	if (r == -ECONNRESET)
		end_program(link, NULL);
	else if (r < 0)
		end_program(link, r == -EBADMSG ? "a message of objpoold can't be read" : strerror(-r));
}

static void flush(struct link *link)
{
	const int r = stream_send(link->fd, &link->program->gateway->to_supervisor);

	if (r < 0)
		end_program(link, r == -EPIPE || r == -ECONNRESET ? NULL : strerror(-r));
	else
		watch_set(link->write, &link->waits, r == 1);
}

/* The turn's end sends. */
static void on_writable(evutil_socket_t fd, short what, void *context)
{
	struct link *link = context;

	(void)fd;
	(void)what;
	program_tick(link->program);
}

void link_on_wrote(struct gateway *gateway)
{
	(void)gateway; /* the turn's end sends */
}

void link_end_turn(struct link *link)
{
	if (link->program->over)
		return;
	if (link->program->gateway->to_supervisor.bytes > 0 || link->program->gateway->to_supervisor.failed)
		flush(link);
	watch_set(link->read, &link->reading, gateway_reads_supervisor(link->program->gateway));
}

struct link *link_new(struct program *program, int fd,
		      int (*on_message)(struct program *program, struct span message, struct block *block))
{
	struct link *link = calloc(1, sizeof *link);

	if (!link)
		return NULL;
	*link = (struct link){.program = program, .fd = fd, .on_message = on_message};
	scan_begin(&link->scan, GATEWAY_MESSAGE_MAX + AROUND);
	link->read = event_new(program->base, fd, EV_READ | EV_PERSIST, on_readable, link);
	link->write = event_new(program->base, fd, EV_WRITE | EV_PERSIST, on_writable, link);
	if (!link->read || !link->write)
		return link_free(link);
	watch_set(link->read, &link->reading, true);
	return link->reading ? link : link_free(link);
}

struct link *link_free(struct link *link)
{
	if (!link)
		return NULL;
	if (link->read)
		event_free(link->read);
	if (link->write)
		event_free(link->write);
	(void)block_unref(link->in);
	free(link);
	return NULL;
}
