/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/reply.h"

#include "daemon/worker/quit.h"
#include "proto/pack.h"
#include "proto/scan.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REPLY_ROOM = 64 << 10, REPLY_KEEP = 1 << 20 };

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(LENT_PLACES * sizeof(int))];
};

int reply_init(struct reply *reply, int fd, struct board *board)
{
	*reply = (struct reply){.fd = fd, .board = board, .limit = SIZE_MAX, .bytes = malloc(REPLY_ROOM), .room = REPLY_ROOM};
	payload_pool_init(&reply->payloads, NULL);
	pthread_mutex_init(&reply->lock, NULL);
	return reply->bytes ? 0 : -ENOMEM;
}

void reply_free(struct reply *reply)
{
	for (unsigned i = 0; i < LENT_PLACES; i++)
		block_unref(reply->lent[i]);
	block_unref(reply->large);
	payload_pool_clear(&reply->payloads);
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

/* ---- large values ---- */

static int append_large(struct reply *reply, const char *bytes, size_t size);

static void take_back(struct reply *reply)
{
	for (unsigned i = 0; i < LENT_PLACES; i++) {
		const uint64_t state = atomic_load_explicit(&reply->board->lent[i], memory_order_acquire);
		if (!reply->lent[i] || state == LENT_OUT)
			continue;
		reply->lent[i]->spoilt = state == LENT_LOST;
		if (state == LENT_SHOWN)
			reply->lent[i]->shown_to = reply->lent_to[i];
		reply->lent[i] = block_unref(reply->lent[i]);
		atomic_store_explicit(&reply->board->lent[i], LENT_FREE, memory_order_relaxed);
	}
}

/* LENT_PLACES: all are taken. */
static unsigned free_place(const struct reply *reply)
{
	unsigned i = 0;
	while (i < LENT_PLACES && reply->lent[i])
		i++;
	return i;
}

/* Moves the value being written to a payload with room for `size` bytes, where it goes on. 0, or -1: there is none. */
static int move_to_payload(struct reply *reply, size_t size)
{
	const struct span so_far = reply_value(reply);
	struct block *block = NULL;

	take_back(reply);
	if (free_place(reply) < LENT_PLACES)
		block = payload_new(&reply->payloads, size, reply->session);
	if (!block)
		return -1;
	memcpy(block->bytes, so_far.bytes, so_far.size);
	block_unref(reply->large);
	reply->large = block;
	reply->large_size = so_far.size;
	reply->size = reply->value;
	reply->limit = 0; /* all that follows goes there */
	return 0;
}

/* The size of `bytes` at which a value is over its maximum. */
static size_t end_of_max(const struct reply *reply)
{
	return reply->max_value < SIZE_MAX - reply->value ? reply->value + (size_t)reply->max_value : SIZE_MAX;
}

/* Moves the value back into `bytes`: there is no payload for it. */
static int move_to_bytes(struct reply *reply)
{
	struct block *block = reply->large;

	reply->large = NULL;
	reply->limit = end_of_max(reply);
	const int r = block ? reply_append(reply, (const char *)block->bytes, reply->large_size) : 0;
	block_unref(block);
	return r;
}

/* Appends to a value that is over `limit`: it goes on in a payload, or is too large. */
static int append_large(struct reply *reply, const char *bytes, size_t size)
{
	const size_t have = reply_value(reply).size, wanted = have + size > 2 * have ? have + size : 2 * have;

	if (have + size > reply->max_value) {
		reply->too_large = have + size;
		reply->failed = true;
		return -1;
	}
	if ((!reply->large || reply->large->capacity - have < size) && move_to_payload(reply, wanted) < 0)
		return move_to_bytes(reply) < 0 ? -1 : reply_append(reply, bytes, size);
	memcpy(reply->large->bytes + have, bytes, size);
	reply->large_size += size;
	payload_filled(reply->large, reply->large_size);
	return 0;
}

void reply_mark(struct reply *reply, uint64_t max)
{
	const uint64_t min = reply->alone ? atomic_load_explicit(&reply->board->payload_min, memory_order_relaxed) : 0;

	reply->value = reply->size;
	reply->max_value = max;
	reply->limit = end_of_max(reply);
	if (min > 0 && min - 1 < max)
		reply->limit = reply->size + (size_t)(min - 1);
	reply->alone = reply->failed = false;
	reply->too_large = 0;
}

void reply_rewind(struct reply *reply)
{
	reply->large = block_unref(reply->large);
	reply->limit = SIZE_MAX;
	reply->size = reply->value;
	reply->failed = false;
	reply->too_large = 0;
}

/* [PAYLOAD, id, place, offset, length, touched] */
void reply_lend(struct reply *reply, size_t start, uint32_t id)
{
	uint8_t message[REPLY_TYPE + 5 * PACK_UINT], *p = reply_pack_type(message, 6, FROM_PAYLOAD);
	const unsigned place = free_place(reply);

	p = pack_uint(p, id);
	p = pack_uint(p, place);
	p = pack_uint(p, 0);
	p = pack_uint(p, reply->large_size);
	p = pack_uint(p, reply->large->filled_for == reply->session ? reply->large_size : reply->large->touched);
	reply->limit = SIZE_MAX;
	reply->size = start;
	reply_put(reply, message, (size_t)(p - message));
	reply->lent[place] = reply->large;
	reply->lent_to[place] = reply->session;
	reply->large = NULL;
	atomic_store_explicit(&reply->board->lent[place], LENT_OUT, memory_order_release);
	pthread_mutex_lock(&reply->lock);
	reply->passing[reply->passing_count++] = reply->lent[place]->fd;
	pthread_mutex_unlock(&reply->lock);
}

bool reply_tidy(struct reply *reply)
{
	take_back(reply);
	payload_trim(&reply->payloads);
	for (unsigned i = 0; i < LENT_PLACES; i++)
		if (reply->lent[i])
			return true;
	return reply->payloads.count > 0;
}

/* ---- writing ---- */

/* Makes room for `size` bytes, and REPLY_TAIL. */
static int make_room(struct reply *reply, size_t size)
{
	size_t room = reply->room;

	if (room - reply->size >= size + REPLY_TAIL)
		return 0;
	while (room - reply->size < size + REPLY_TAIL)
		room *= 2;
	return grow(reply, room);
}

/* Copies a few bytes. Most pieces of values are so small that memcpy takes longer to find out. */
static inline void copy(uint8_t *to, const char *from, size_t size)
{
	enum { WORD = sizeof(uint64_t), HALF = sizeof(uint32_t) };

	if (size >= 2 * WORD) {
		memcpy(to, from, size);
	} else if (size >= WORD) { /* two words, which overlap */
		memcpy(to, from, WORD);
		memcpy(to + size - WORD, from + size - WORD, WORD);
	} else if (size >= HALF) {
		memcpy(to, from, HALF);
		memcpy(to + size - HALF, from + size - HALF, HALF);
	} else {
		for (size_t i = 0; i < size; i++)
			to[i] = (uint8_t)from[i];
	}
}

int reply_append(void *data, const char *bytes, size_t size)
{
	struct reply *reply = data;

	if (reply->failed) {
		reply->too_large += reply->too_large ? size : 0;
		return -1;
	}
	if (reply->size + size > reply->limit)
		return append_large(reply, bytes, size);
	if (make_room(reply, size) < 0) {
		reply->failed = true;
		return -1;
	}
	copy(reply->bytes + reply->size, bytes, size);
	reply->size += size;
	return 0;
}

size_t reply_begin(struct reply *reply)
{
	assert(reply->size == reply->sealed);
	if (make_room(reply, REPLY_SPARE) < 0)
		reply_flush(reply);
	return reply->size;
}

void reply_put(struct reply *reply, const uint8_t *bytes, size_t size)
{
	assert(reply->room - reply->size >= size);
	memcpy(reply->bytes + reply->size, bytes, size);
	reply->size += size;
}

void reply_messages(struct reply *reply, const uint8_t *bytes, size_t size)
{
	assert(reply->size == reply->sealed);
	if (make_room(reply, size) == 0) {
		reply_put(reply, bytes, size);
		reply_seal(reply);
	} else if (reply_aside(reply, bytes, size) < 0) {
		quit_cut_off();
	}
}

void reply_seal(struct reply *reply)
{
	reply->limit = SIZE_MAX;
	reply->sealed = reply->size;
}

enum { RESULTS_HEAD = REPLY_TYPE + 2 * PACK_UINT + PACK_HEAD };

/* Writes [RESULTS, id, item, [ with `item` and `count` of fixed width: close_results writes it again at the same place. */
static uint8_t *put_results_head(uint8_t *p, uint32_t id, uint64_t item, uint32_t count)
{
	p = pack_uint(reply_pack_type(p, 4, FROM_RESULTS), id);
	return pack_array_wide(pack_uint_wide(p, item), count);
}

void reply_begin_results(struct reply *reply, uint32_t id, uint64_t item)
{
	uint8_t head[RESULTS_HEAD];
	const uint8_t *end = put_results_head(head, id, item, 0);

	(void)reply_begin(reply);
	reply_put(reply, head, (size_t)(end - head));
	pthread_mutex_lock(&reply->lock);
	reply->results_id = id;
	reply->results_item = item;
	reply->count_at = reply->size - 4;
	reply->count = 0;
	reply->told = 0;
	reply->ready = reply->gone = reply->size;
	pthread_mutex_unlock(&reply->lock);
}

void reply_value_done(struct reply *reply)
{
	const uint32_t count = atomic_load_explicit(&reply->count, memory_order_relaxed); /* only this thread writes it */

	reply->ready = reply->size;
	atomic_store_explicit(&reply->count, count + 1, memory_order_release);
}

/* Writes the open RESULTS' head anew, for the values that have not been sent. */
static void close_results(struct reply *reply)
{
	const uint32_t left = reply->count - reply->told;
	uint8_t *values = reply->bytes + reply->count_at + 4;

	if (left > 0) {
		const size_t rest = reply->ready - reply->gone;
		memmove(values, reply->bytes + reply->gone, rest);
		(void)put_results_head(reply->bytes + reply->sealed, reply->results_id, reply->results_item + reply->told, left);
		reply->sealed = reply->count_at + 4 + rest;
	}
	reply->size = reply->sealed;
	reply->count_at = 0;
}

void reply_end_results(struct reply *reply)
{
	if (!reply->count_at)
		return;
	pthread_mutex_lock(&reply->lock);
	close_results(reply);
	pthread_mutex_unlock(&reply->lock);
}

/* ---- sending ---- */

static void attach(struct msghdr *message, union control *control, const struct reply *reply)
{
	const size_t size = reply->passing_count * sizeof(int);

	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(size);
	control->head = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(size)};
	memcpy(CMSG_DATA(&control->head), reply->passing, size);
}

static ssize_t send_with_descriptors(const struct reply *reply, const uint8_t *bytes, size_t size)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;

	attach(&message, &control, reply);
	return sendmsg(reply->fd, &message, MSG_NOSIGNAL);
}

/* The descriptors leave with the first bytes. Without any, `send` takes the kernel less time. */
static int send_all(struct reply *reply, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		const ssize_t n = reply->passing_count > 0 ? send_with_descriptors(reply, bytes, size)
							   : send(reply->fd, bytes, size, MSG_NOSIGNAL);
		if (n < 0 && errno == ETOOMANYREFS)
			(void)poll(NULL, 0, 1); /* until those on their way have arrived */
		else if (n < 0 && errno != EINTR)
			return -EIO;
		if (n <= 0)
			continue;
		reply->passing_count = 0;
		bytes += n;
		size -= (size_t)n;
	}
	return 0;
}

/* Sends what is whole. 0, or -1 when the supervisor has gone. */
static int send_sealed(struct reply *reply)
{
	const size_t size = reply->sealed - reply->sent;
	if (size > 0 && send_all(reply, reply->bytes + reply->sent, size) < 0)
		return -1;
	reply->sent += size;
	return 0;
}

/* Frees the room that one large answer has taken. */
static void shrink(struct reply *reply)
{
	uint8_t *less = reply->room > REPLY_KEEP ? realloc(reply->bytes, REPLY_ROOM) : NULL;

	if (!less)
		return;
	reply->bytes = less;
	reply->room = REPLY_ROOM;
}

/* Moves what is not whole yet to the front. */
static void drop_sent(struct reply *reply)
{
	const size_t rest = reply->size - reply->sealed;

	memmove(reply->bytes, reply->bytes + reply->sealed, rest);
	if (reply->count_at) {
		reply->count_at -= reply->sealed;
		reply->ready -= reply->sealed;
		reply->gone -= reply->sealed;
	}
	reply->size = rest;
	reply->sealed = reply->sent = 0;
	if (rest == 0)
		shrink(reply);
}

int reply_aside(struct reply *reply, const uint8_t *message, size_t size)
{
	pthread_mutex_lock(&reply->lock);
	const int r = send_sealed(reply) < 0 ? -EIO : send_all(reply, message, size);
	pthread_mutex_unlock(&reply->lock);
	return r;
}

void reply_flush(struct reply *reply)
{
	if (reply->sealed == 0)
		return;
	pthread_mutex_lock(&reply->lock);
	if (send_sealed(reply) < 0)
		quit_cut_off();
	drop_sent(reply);
	pthread_mutex_unlock(&reply->lock);
}

/* Sends the values of the open RESULTS, which the writer may be adding to. */
static int send_results(struct reply *reply)
{
	const uint32_t count = reply->count_at ? atomic_load_explicit(&reply->count, memory_order_acquire) - reply->told : 0;
	uint8_t head[RESULTS_HEAD];
	struct scan scan;

	if (count == 0)
		return 0;
	const uint8_t *end = put_results_head(head, reply->results_id, reply->results_item + reply->told, count);
	scan_begin_many(&scan, count, INT64_MAX);
	(void)scan_run(&scan, reply->bytes + reply->gone, PTRDIFF_MAX); /* can't fail: the values are whole */
	if (send_all(reply, head, (size_t)(end - head)) < 0 || send_all(reply, reply->bytes + reply->gone, (size_t)scan.pos) < 0)
		return -1;
	reply->told += count;
	reply->gone += (size_t)scan.pos;
	return 0;
}

void reply_nudge(struct reply *reply)
{
	pthread_mutex_lock(&reply->lock);
	if (send_sealed(reply) == 0)
		(void)send_results(reply); /* if the supervisor has gone, the writer finds out itself */
	pthread_mutex_unlock(&reply->lock);
}

void reply_drop(struct reply *reply, size_t start)
{
	reply->limit = SIZE_MAX;
	reply->size = start;
	if (start > 0 || reply->room <= REPLY_KEEP)
		return;
	pthread_mutex_lock(&reply->lock);
	shrink(reply);
	pthread_mutex_unlock(&reply->lock);
}

void reply_nudge_dying(struct reply *reply)
{
	if (pthread_mutex_trylock(&reply->lock) == 0)
		(void)send_sealed(reply);
}

void reply_abandon(struct reply *reply)
{
	(void)close(reply->fd);
	reply->fd = -1;
	if (reply->beside)
		reply->beside(reply, true);
}

void reply_flush_dying(struct reply *reply)
{
	/* Whoever holds the lock is in the middle of sending: what goes out twice would be worse than what is lost. */
	if (pthread_mutex_trylock(&reply->lock) != 0)
		return;
	if (reply->count_at)
		close_results(reply);
	(void)send_sealed(reply);
	if (reply->beside)
		reply->beside(reply, false);
}
