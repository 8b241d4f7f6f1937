/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/reply.h"

#include "proto/channel.h"
#include "proto/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REPLY_ROOM = 64 << 10, REPLY_KEEP = 1 << 20 };

void reply_init(struct reply *reply, int fd)
{
	*reply = (struct reply){.fd = fd};
	pthread_mutex_init(&reply->lock, NULL);
}

void reply_free(struct reply *reply)
{
	free(reply->bytes);
	pthread_mutex_destroy(&reply->lock);
}

static int grow(struct reply *reply, size_t room)
{
	pthread_mutex_lock(&reply->lock);
	uint8_t *grown = realloc(reply->bytes, room);
	if (grown) {
		reply->bytes = grown;
		reply->room = room;
	}
	pthread_mutex_unlock(&reply->lock);
	return grown ? 0 : -1;
}

int reply_append(void *data, const char *bytes, size_t size)
{
	struct reply *reply = data;

	if (reply->room - reply->size < size) {
		size_t room = reply->room ? reply->room : REPLY_ROOM;
		while (room - reply->size < size)
			room *= 2;
		if (grow(reply, room) < 0)
			return -1; /* the packer stops, and the value is found to be half */
	}
	memcpy(reply->bytes + reply->size, bytes, size);
	reply->size += size;
	return 0;
}

void reply_seal(struct reply *reply)
{
	reply->sealed = reply->size;
}

void reply_begin_results(struct reply *reply, uint32_t id, uint64_t item)
{
	uint8_t head[2 + 2 * PACK_UINT + 5], *p = head;

	*p++ = 0x94;
	*p++ = FROM_RESULTS;
	p = pack_uint(p, id);
	p = pack_uint(p, item);
	*p++ = 0xdd;
	p = pack_be32(p, 0); /* filled in when it is closed */
	if (reply_append(reply, (const char *)head, (size_t)(p - head)) < 0)
		abort();
	reply->count_at = reply->size - 4;
	reply->count = 0;
	reply->ready = reply->size;
}

void reply_value_done(struct reply *reply)
{
	reply->ready = reply->size;
	reply->count++;
}

void reply_end_results(struct reply *reply)
{
	if (!reply->count_at)
		return;
	if (reply->count > 0) {
		pack_be32(reply->bytes + reply->count_at, reply->count);
		reply->sealed = reply->ready;
	}
	reply->size = reply->sealed;
	reply->count_at = 0;
}

static int send_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		const ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return -EIO;
		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

/* Sends what is whole. 0, or -1 when the supervisor has gone. */
static int send_sealed(struct reply *reply)
{
	const size_t size = reply->sealed - reply->sent;
	if (size > 0 && send_all(reply->fd, reply->bytes + reply->sent, size) < 0)
		return -1;
	reply->sent += size;
	return 0;
}

/* Moves what is not whole yet to the front. */
static void drop_sent(struct reply *reply)
{
	const size_t rest = reply->size - reply->sealed;

	memmove(reply->bytes, reply->bytes + reply->sealed, rest);
	if (reply->count_at) {
		reply->count_at -= reply->sealed;
		reply->ready -= reply->sealed;
	}
	reply->size = rest;
	reply->sealed = reply->sent = 0;
	if (rest == 0 && reply->room > REPLY_KEEP) { /* one large answer shouldn't be held for ever */
		free(reply->bytes);
		reply->bytes = NULL;
		reply->room = 0;
	}
}

int reply_aside(struct reply *reply, const uint8_t *message, size_t size)
{
	pthread_mutex_lock(&reply->lock);
	const int r = send_sealed(reply) < 0 ? -EIO : send_all(reply->fd, message, size);
	pthread_mutex_unlock(&reply->lock);
	return r;
}

void reply_flush(struct reply *reply)
{
	if (reply->sealed == 0)
		return;
	pthread_mutex_lock(&reply->lock);
	if (send_sealed(reply) < 0)
		_exit(0);
	drop_sent(reply);
	pthread_mutex_unlock(&reply->lock);
}

void reply_nudge(struct reply *reply)
{
	pthread_mutex_lock(&reply->lock);
	(void)send_sealed(reply); /* the writer will find out for itself */
	pthread_mutex_unlock(&reply->lock);
}

void reply_nudge_dying(struct reply *reply)
{
	if (pthread_mutex_trylock(&reply->lock) == 0)
		(void)send_sealed(reply);
}

void reply_flush_dying(struct reply *reply)
{
	/* Whoever holds the lock is in the middle of sending: what goes out twice would be worse than what is lost. */
	if (pthread_mutex_trylock(&reply->lock) != 0)
		return;
	reply_end_results(reply);
	(void)send_sealed(reply);
}
