/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/direct_channel.h"

#include "proto/pack.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_ROOM = 16 << 10, KEEP = 1 << 20 };
#define PATIENCE UINT64_C(100000000) /* ns in which a client should end its side once it is told to */

struct direct *direct_new(int fd, uint64_t limit)
{
	struct direct *direct = calloc(1, sizeof *direct);

	if (!direct) {
		(void)close(fd);
		return NULL;
	}
	direct->fd = fd;
	direct->limit = limit;
	direct->deaf_at = direct->close_at = UINT64_MAX;
	scan_begin(&direct->scan, limit);
	return direct;
}

struct direct *direct_free(struct direct *direct)
{
	if (!direct)
		return NULL;
	(void)close(direct->fd);
	free(direct->in);
	free(direct->out);
	free(direct);
	return NULL;
}

/* ---- messages ---- */

/* Room for more bytes: the unfinished message moves to the front, or the buffer doubles. */
static int make_room(struct direct *direct)
{
	const size_t rest = direct->end - direct->begin;

	if (direct->begin > 0 && rest > 0)
		memmove(direct->in, direct->in + direct->begin, rest);
	direct->begin = 0;
	direct->end = rest;
	if (direct->room - rest > direct->room / 2)
		return 0;
	const size_t room = direct->room ? 2 * direct->room : FIRST_ROOM;
	uint8_t *grown = realloc(direct->in, room);
	if (!grown)
		return -ENOMEM;
	direct->in = grown;
	direct->room = room;
	return 0;
}

/* Frees what one large message has taken. */
static void shrink_in(struct direct *direct)
{
	if (direct->begin < direct->end || direct->room <= KEEP)
		return;
	free(direct->in);
	direct->in = NULL;
	direct->room = direct->begin = direct->end = 0;
}

void direct_read(struct direct *direct, uint64_t now)
{
	shrink_in(direct);
	if (make_room(direct) < 0) {
		direct_cut(direct); /* its client learns that the message has not begun */
		direct->input_ended = true;
		return;
	}
	/* Descriptors that come are closed: none is taken here. */
	const ssize_t n = recv(direct->fd, direct->in + direct->end, direct->room - direct->end, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	direct->read_at = now;
	direct->waits = true;
	if (n > 0)
		direct->end += (size_t)n;
	else
		direct->input_ended = true;
	direct->dead = direct->dead || n < 0;
}

/* Drops bytes of a message over the limit that have been scanned. */
static void drop(struct direct *direct)
{
	size_t n = direct->end - direct->begin;
	if (n > direct->scan.pos)
		n = (size_t)direct->scan.pos;
	direct->begin += n;
	scan_forget(&direct->scan, n);
}

int direct_next(struct direct *direct, struct span *message)
{
	direct->waits = false;
	for (;;) {
		const size_t size = direct->end - direct->begin;
		if (size == 0 && !direct->dropping)
			return 0;
		const uint8_t *from = direct->in + direct->begin;
		const int r = scan_run(&direct->scan, from, size);
		if (r < 0)
			return r;
		*message = (struct span){.bytes = from, .size = r > 0 ? (size_t)direct->scan.pos : size};
		if (direct->scan.over && !direct->dropping) {
			direct->dropping = direct->waits = true;
			return -EMSGSIZE; /* the bytes are still there: the next call drops them */
		}
		if (direct->dropping)
			drop(direct);
		if (r == 0)
			return 0;
		scan_begin(&direct->scan, direct->limit);
		if (!direct->dropping) {
			direct->begin += message->size;
			direct->waits = true;
			return 1;
		}
		direct->dropping = false;
	}
}

/* ---- answers ---- */

static int grow_out(struct direct *direct, size_t size)
{
	size_t room = direct->out_room ? direct->out_room : FIRST_ROOM;

	if (direct->sent > 0 && direct->size - direct->sent < direct->sent) {
		memmove(direct->out, direct->out + direct->sent, direct->size - direct->sent);
		direct->size -= direct->sent;
		direct->sent = 0;
	}
	while (room - direct->size < size)
		room *= 2;
	if (room == direct->out_room)
		return 0;
	uint8_t *grown = realloc(direct->out, room);
	if (!grown)
		return -ENOMEM;
	direct->out = grown;
	direct->out_room = room;
	return 0;
}

int direct_put(struct direct *direct, const void *bytes, size_t size)
{
	if (direct->dead)
		return 0;
	if (direct->out_room - direct->size < size && grow_out(direct, size) < 0)
		return -ENOMEM;
	memcpy(direct->out + direct->size, bytes, size);
	direct->size += size;
	return 0;
}

static void all_sent(struct direct *direct)
{
	direct->sent = direct->size = 0;
	if (direct->out_room <= KEEP)
		return;
	free(direct->out);
	direct->out = NULL;
	direct->out_room = 0;
}

void direct_flush(struct direct *direct, uint64_t now)
{
	direct->flushed = now;
	while (direct->sent < direct->size && !direct->dead) {
		const ssize_t n = send(direct->fd, direct->out + direct->sent, direct->size - direct->sent,
				       MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno != EINTR)
			direct->dead = true;
		direct->sent += n > 0 ? (size_t)n : 0;
	}
	all_sent(direct);
}

/* ---- the end ---- */

void direct_tell_closing(struct direct *direct, struct span reason, uint64_t now)
{
	uint8_t room[96], *p = room;

	if (direct->told)
		return;
	direct->told = true;
	direct->deaf_at = now + PATIENCE;
	direct->close_at = direct->grace < UINT64_MAX - now ? now + direct->grace : UINT64_MAX;
	*p++ = BYTE_FIXARRAY | 3;
	*p++ = 2;
	p = pack_str(p, "objpool.closing", 15);
	p = pack_array(p, 1);
	p = pack_str(p, (const char *)reason.bytes, reason.size < 40 ? reason.size : 40);
	if (direct_put(direct, room, (size_t)(p - room)) < 0)
		direct_cut(direct);
	direct_flush(direct, now);
}

/* What the client sends from now on fails: it has not begun. What it has sent before is read to its end. */
static void turn_deaf(struct direct *direct)
{
	direct->deaf_at = UINT64_MAX;
	(void)shutdown(direct->fd, SHUT_RD); /* fails only if the client has closed the channel */
}

void direct_keep_time(struct direct *direct, uint64_t now)
{
	if (direct->close_at <= now)
		direct_cut(direct);
	else if (direct->deaf_at <= now)
		turn_deaf(direct);
}

void direct_cut(struct direct *direct)
{
	direct->dead = true;
	direct->deaf_at = direct->close_at = UINT64_MAX;
	all_sent(direct);
	(void)shutdown(direct->fd, SHUT_RDWR);
}

bool direct_is_done(const struct direct *direct)
{
	return direct->broken || (direct->input_ended && !direct->waits && direct->size == 0);
}

short direct_events(const struct direct *direct)
{
	const bool reads = !direct->input_ended && !direct->waits && (direct->dead || direct->size - direct->sent <= DIRECT_UNSENT);
	return (short)((reads ? POLLIN : 0) | (direct->size > 0 ? POLLOUT : 0));
}
