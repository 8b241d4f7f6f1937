/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/inbox.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { INBOX_ROOM = 128 << 10, INBOX_KEEP = 4 << 20 };

void inbox_init(struct inbox *inbox, int fd)
{
	*inbox = (struct inbox){.fd = fd};
	scan_begin(&inbox->scan, INT64_MAX);
	STAILQ_INIT(&inbox->held);
}

/* ---- put aside ---- */

struct held {
	STAILQ_ENTRY(held) link;
	size_t size;
	uint8_t bytes[];
};

int inbox_put_aside(struct inbox *inbox, struct span message)
{
	struct held *held = malloc(sizeof *held + message.size);
	if (!held)
		return -ENOMEM;
	held->size = message.size;
	memcpy(held->bytes, message.bytes, message.size);
	STAILQ_INSERT_TAIL(&inbox->held, held, link);
	return 0;
}

void inbox_free(struct inbox *inbox)
{
	struct held *held;

	while ((held = STAILQ_FIRST(&inbox->held))) {
		STAILQ_REMOVE_HEAD(&inbox->held, link);
		free(held);
	}
	free(inbox->pinned);
	free(inbox->bytes);
}

int inbox_pin(struct inbox *inbox)
{
	const size_t rest = inbox->end - inbox->begin, room = rest < INBOX_ROOM / 2 ? INBOX_ROOM : 2 * rest;

	if (inbox->pinned)
		return 0; /* what is in the newer buffer is nobody's yet */
	uint8_t *bytes = malloc(room);
	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, inbox->bytes + inbox->begin, rest);
	inbox->pinned = inbox->bytes;
	inbox->bytes = bytes;
	inbox->room = room;
	inbox->begin = 0;
	inbox->end = rest;
	return 0;
}

bool inbox_next(struct inbox *inbox, struct span *message)
{
	struct held *held = STAILQ_FIRST(&inbox->held);

	free(inbox->pinned);
	inbox->pinned = NULL;
	if (held && inbox->giving) {
		STAILQ_REMOVE_HEAD(&inbox->held, link);
		free(held);
		held = STAILQ_FIRST(&inbox->held);
	}
	inbox->giving = held != NULL;
	if (!held)
		return inbox_next_arrived(inbox, message);
	*message = (struct span){.bytes = held->bytes, .size = held->size};
	return true;
}

/* ---- arrived ---- */

bool inbox_next_arrived(struct inbox *inbox, struct span *message)
{
	const uint8_t *from = inbox->bytes + inbox->begin;

	if (inbox->begin == inbox->end)
		return false;
	const int r = scan_run(&inbox->scan, from, inbox->end - inbox->begin);
	if (r < 0)
		_exit(70);
	if (r == 0)
		return false;
	*message = (struct span){.bytes = from, .size = (size_t)inbox->scan.pos};
	inbox->begin += message->size;
	scan_begin(&inbox->scan, INT64_MAX);
	return true;
}

static int make_room(struct inbox *inbox)
{
	const size_t rest = inbox->end - inbox->begin;

	if (inbox->begin > 0 && rest > 0)
		memmove(inbox->bytes, inbox->bytes + inbox->begin, rest);
	inbox->begin = 0;
	inbox->end = rest;
	if (rest == 0 && inbox->room > INBOX_KEEP) {
		free(inbox->bytes);
		inbox->bytes = NULL;
		inbox->room = 0;
	}
	if (inbox->room > 0 && inbox->room - rest >= inbox->room / 2)
		return 0;
	const size_t room = inbox->room ? 2 * inbox->room : INBOX_ROOM;
	uint8_t *grown = realloc(inbox->bytes, room);
	if (!grown)
		return -ENOMEM;
	inbox->bytes = grown;
	inbox->room = room;
	return 0;
}

/* Until there is something to read, or the time has come. */
static int wait_for_bytes(const struct inbox *inbox, uint64_t until)
{
	struct pollfd p = {.fd = inbox->fd, .events = POLLIN};
	struct timespec t;

	if (until == UINT64_MAX)
		return poll(&p, 1, -1);
	clock_gettime(CLOCK_MONOTONIC, &t);
	const uint64_t now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec, left = until > now ? until - now : 0;
	t = (struct timespec){.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};
	return ppoll(&p, 1, &t, NULL);
}

int inbox_fill(struct inbox *inbox, uint64_t until)
{
	if (make_room(inbox) < 0)
		return -ENOMEM;
	for (;;) {
		/* Who sleeps in read() on a Unix socket is woken, for nothing, when the peer takes what we sent; who sleeps
		 * in poll() is not. One more call here saves a switch of tasks for every answer. */
		const int ready = wait_for_bytes(inbox, until);
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready == 0)
			return -ETIMEDOUT;
		const ssize_t n = read(inbox->fd, inbox->bytes + inbox->end, inbox->room - inbox->end);
		if (n > 0) {
			inbox->end += (size_t)n;
			return 1;
		}
		if (n == 0 || errno != EINTR)
			return n == 0 ? 0 : -errno;
	}
}
