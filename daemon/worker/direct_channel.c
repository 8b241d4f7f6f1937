/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/direct_channel.h"

#include "daemon/worker/direct_rings.h"
#include "daemon/worker/late_close.h"
#include "proto/pack.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_ROOM = 16 << 10, KEEP = 1 << 20 };
#define PATIENCE UINT64_C(100000000) /* ns in which a client should end its side once it is told to */

struct direct_channel *direct_channel_new(int fd, uint64_t limit)
{
	struct direct_channel *channel = calloc(1, sizeof *channel);

	if (!channel) {
		(void)close(fd);
		return NULL;
	}
	channel->fd = fd;
	channel->limit = limit;
	channel->deaf_at = channel->close_at = UINT64_MAX;
	scan_begin(&channel->scan, limit);
	TAILQ_INIT(&channel->deferred);
	return channel;
}

struct direct_channel *direct_channel_free(struct direct_channel *channel)
{
	if (!channel)
		return NULL;
	if (channel->rings)
		rings_close(channel->rings);
	free(channel->rings);
	late_close_connection(channel->fd);
	free(channel->in);
	free(channel->out);
	free(channel);
	return NULL;
}

void direct_channel_forget(const struct direct_channel *channel)
{
	(void)close(channel->fd);
	if (!channel->rings)
		return;
	(void)close(channel->rings->wakes_us);
	(void)close(channel->rings->wakes_other);
}

/* ---- messages ---- */

/* Room for more bytes: the unfinished message moves to the front, or the buffer doubles. */
static int make_room(struct direct_channel *channel)
{
	const size_t rest = channel->end - channel->begin;

	if (channel->begin > 0 && rest > 0)
		memmove(channel->in, channel->in + channel->begin, rest);
	channel->begin = 0;
	channel->end = rest;
	if (channel->room - rest > channel->room / 2)
		return 0;
	const size_t room = channel->room ? 2 * channel->room : FIRST_ROOM;
	uint8_t *grown = realloc(channel->in, room);
	if (!grown)
		return -ENOMEM;
	channel->in = grown;
	channel->room = room;
	return 0;
}

/* Frees what one large message has taken. */
static void shrink_in(struct direct_channel *channel)
{
	if (channel->room <= KEEP)
		return;
	free(channel->in);
	channel->in = NULL;
	channel->room = channel->begin = channel->end = 0;
}

/* As recv. Nobody may send descriptors here, but before Linux 6.16 nothing keeps a client from it. If there were no room for
 * them, the kernel would close them in this thread, and that may take long. */
static ssize_t receive(struct direct_channel *channel, void *bytes, size_t size)
{
	union arrivals_control control;
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	const ssize_t n = recvmsg(channel->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n >= 0 && (message.msg_controllen > 0 || (message.msg_flags & MSG_CTRUNC))) {
		late_close_sent(&message);
		channel->stray = true;
	}
	return n;
}

/* As recv, from the rings. After what the client has written before it hung up comes the end. */
static ssize_t take(const struct direct_channel *channel, void *bytes, size_t size)
{
	const ssize_t n = rings_take(channel->rings, bytes, size);

	if (n > 0)
		return n;
	if (n == -EPIPE || (n == 0 && channel->hung_up))
		return 0;
	errno = n == 0 ? EAGAIN : EPROTO;
	return -1;
}

void direct_channel_read(struct direct_channel *channel, uint64_t now)
{
	if (make_room(channel) < 0) {
		direct_channel_cut(channel); /* its client learns that the message has not begun */
		channel->input_ended = true;
		return;
	}
	uint8_t *to = channel->in + channel->end;
	const size_t room = channel->room - channel->end;
	const ssize_t n = channel->rings ? take(channel, to, room) : receive(channel, to, room);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	channel->read_at = now;
	channel->waits = true;
	if (n > 0)
		channel->end += (size_t)n;
	else
		channel->input_ended = n == 0 || channel->rings; /* a socket that has failed ends with the next read */
	channel->dead = channel->dead || n < 0;
}

/* Drops bytes of a message over the limit that have been scanned. */
static void drop(struct direct_channel *channel)
{
	size_t n = channel->end - channel->begin;
	if (n > channel->scan.pos)
		n = (size_t)channel->scan.pos;
	channel->begin += n;
	scan_forget(&channel->scan, n);
}

int direct_channel_next(struct direct_channel *channel, struct span *message)
{
	channel->waits = false;
	if (channel->stray)
		return -EPROTO;
	for (;;) {
		const size_t size = channel->end - channel->begin;
		if (size == 0 && !channel->dropping) {
			shrink_in(channel);
			return 0;
		}
		const uint8_t *from = channel->in + channel->begin;
		const int r = scan_run(&channel->scan, from, size);
		if (r < 0)
			return r;
		*message = (struct span){.bytes = from, .size = r > 0 ? (size_t)channel->scan.pos : size};
		if (channel->scan.over && !channel->dropping) {
			channel->dropping = channel->waits = true;
			return -EMSGSIZE; /* the bytes are still there: the next call drops them */
		}
		if (channel->dropping)
			drop(channel);
		if (r == 0)
			return 0;
		scan_begin(&channel->scan, channel->limit);
		if (!channel->dropping) {
			channel->begin += message->size;
			channel->waits = true;
			return 1;
		}
		channel->dropping = false;
	}
}

/* ---- answers ---- */

/* When a signal ends the process meanwhile, the answers are not sent: they may go out twice, or be in no buffer. */
static void set_changing(struct direct_channel *channel, bool changing)
{
	atomic_signal_fence(memory_order_seq_cst);
	channel->out_changes = changing;
	atomic_signal_fence(memory_order_seq_cst);
}

static int grow_out(struct direct_channel *channel, size_t size)
{
	size_t room = channel->out_room ? channel->out_room : FIRST_ROOM;

	if (channel->sent > 0 && channel->size - channel->sent < channel->sent) {
		memmove(channel->out, channel->out + channel->sent, channel->size - channel->sent);
		channel->size -= channel->sent;
		channel->sent = 0;
	}
	while (room - channel->size < size)
		room *= 2;
	if (room == channel->out_room)
		return 0;
	uint8_t *grown = realloc(channel->out, room);
	if (!grown)
		return -ENOMEM;
	channel->out = grown;
	channel->out_room = room;
	return 0;
}

int direct_channel_put(struct direct_channel *channel, const void *bytes, size_t size)
{
	int r = 0;

	if (channel->dead)
		return 0;
	set_changing(channel, true);
	if (channel->out_room - channel->size < size)
		r = grow_out(channel, size);
	if (r == 0) {
		memcpy(channel->out + channel->size, bytes, size);
		channel->size += size;
	}
	set_changing(channel, false);
	return r;
}

static void all_sent(struct direct_channel *channel)
{
	channel->sent = channel->size = 0;
	if (channel->out_room <= KEEP)
		return;
	free(channel->out);
	channel->out = NULL;
	channel->out_room = 0;
}

ssize_t direct_channel_send(const struct direct_channel *channel)
{
	const uint8_t *from = channel->out + channel->sent;
	const size_t size = channel->size - channel->sent;

	if (!channel->rings)
		return send(channel->fd, from, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	const ssize_t n = rings_put(channel->rings, from, size);
	errno = n == 0 ? EAGAIN : (int)-n;
	return n > 0 ? n : -1;
}

static void send_out(struct direct_channel *channel)
{
	while (channel->sent < channel->size && !channel->dead) {
		const ssize_t n = direct_channel_send(channel);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno != EINTR)
			channel->dead = true;
		channel->sent += n > 0 ? (size_t)n : 0;
	}
	all_sent(channel);
}

void direct_channel_flush(struct direct_channel *channel, uint64_t now)
{
	channel->flushed = now;
	set_changing(channel, true);
	send_out(channel);
	set_changing(channel, false);
}

void direct_channel_offer_rings(struct direct_channel *channel, uint64_t now)
{
	static const uint8_t none[] = {BYTE_FIXARRAY | 3, 2, BYTE_FIXSTR | 13, 'o', 'b', 'j', 'p', 'o', 'o', 'l', '.',
				       'r', 'i', 'n', 'g', 's', BYTE_FIXARRAY | 1, BYTE_NIL};

	channel->rings = direct_rings_offer(channel->fd);
	if (channel->rings)
		return;
	if (direct_channel_put(channel, none, sizeof none) < 0)
		direct_channel_cut(channel);
	direct_channel_flush(channel, now);
}

/* ---- the end ---- */

void direct_channel_tell_closing(struct direct_channel *channel, struct span reason, uint64_t now)
{
	uint8_t room[96], *p = room;

	if (channel->told)
		return;
	channel->told = true;
	channel->deaf_at = now + PATIENCE;
	channel->close_at = channel->grace < UINT64_MAX - now ? now + channel->grace : UINT64_MAX;
	*p++ = BYTE_FIXARRAY | 3;
	*p++ = 2;
	p = pack_str(p, "objpool.closing", 15);
	p = pack_array(p, 1);
	p = pack_str(p, (const char *)reason.bytes, reason.size < 40 ? reason.size : 40);
	if (direct_channel_put(channel, room, (size_t)(p - room)) < 0)
		direct_channel_cut(channel);
	direct_channel_flush(channel, now);
}

/* What the client sends from now on fails: it has not begun. What it has sent before is read to its end. */
static void turn_deaf(struct direct_channel *channel)
{
	channel->deaf_at = UINT64_MAX;
	if (channel->rings)
		rings_shut(channel->rings);
	else
		(void)shutdown(channel->fd, SHUT_RD); /* fails only if the client has closed the channel */
}

void direct_channel_keep_time(struct direct_channel *channel, uint64_t now)
{
	if (channel->close_at <= now)
		direct_channel_cut(channel);
	else if (channel->deaf_at <= now)
		turn_deaf(channel);
}

void direct_channel_cut(struct direct_channel *channel)
{
	channel->dead = true;
	channel->deaf_at = channel->close_at = UINT64_MAX;
	set_changing(channel, true);
	all_sent(channel);
	set_changing(channel, false);
	if (channel->rings)
		rings_shut(channel->rings);
	(void)shutdown(channel->fd, SHUT_RDWR);
}

bool direct_channel_is_done(const struct direct_channel *channel)
{
	return channel->protocol_error ||
	       (channel->input_ended && !channel->waits && channel->size == 0 && TAILQ_EMPTY(&channel->deferred));
}

short direct_channel_events(const struct direct_channel *channel)
{
	if (channel->rings)
		return channel->hung_up ? 0 : POLLIN;
	return (short)((direct_channel_wants_input(channel) ? POLLIN : 0) | (channel->size > 0 ? POLLOUT : 0));
}

/* The client sends nothing on the socket while there are rings. So it has shut down its sending side, or does not keep to that. */
static void see_socket(struct direct_channel *channel)
{
	char byte;
	const ssize_t n = receive(channel, &byte, 1);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	channel->hung_up = true;
	if (n > 0)
		channel->stray = channel->waits = true;
	if (n < 0)
		direct_channel_cut(channel);
}

void direct_channel_on_polled(struct direct_channel *channel, short events, uint64_t now)
{
	if (channel->rings && (events & POLLIN))
		see_socket(channel);
	else if (!channel->rings && (events & POLLIN))
		direct_channel_read(channel, now);
	if ((events & (POLLHUP | POLLERR)) && (channel->rings || !(events & POLLIN)))
		direct_channel_cut(channel); /* its client has gone, and what waits here is not read, or written, any more */
}
