/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/inbox.h"

#include "daemon/worker/quit.h"
#include "proto/channel.h"
#include "proto/clock.h"
#include "proto/msgpack_bytes.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { INBOX_ROOM = 128 << 10, INBOX_KEEP = 4 << 20 };

void inbox_init(struct inbox *inbox, int fd)
{
	*inbox = (struct inbox){.fd = fd};
	inbox->arrivals.takes_ends = true;
	scan_begin(&inbox->scan, INT64_MAX);
	STAILQ_INIT(&inbox->held);
}

/* ---- put aside ---- */

struct held {
	STAILQ_ENTRY(held) link;
	struct worker_files *files;
	size_t size;
	uint8_t bytes[];
};

static int put_aside(struct inbox *inbox, struct span message)
{
	struct held *held = malloc(sizeof *held + message.size);
	if (!held)
		return -ENOMEM;
	held->size = message.size;
	held->files = inbox->arrived;
	inbox->arrived = NULL;
	memcpy(held->bytes, message.bytes, message.size);
	STAILQ_INSERT_TAIL(&inbox->held, held, link);
	return 0;
}

void inbox_free(struct inbox *inbox)
{
	struct held *held;

	while ((held = STAILQ_FIRST(&inbox->held))) {
		STAILQ_REMOVE_HEAD(&inbox->held, link);
		worker_files_free(held->files);
		free(held);
	}
	worker_files_free(inbox->files);
	worker_files_free(inbox->arrived);
	worker_files_free(inbox->announced);
	mappings_clear(&inbox->mappings);
	arrivals_clear(&inbox->arrivals);
	free(inbox->pinned);
	free(inbox->bytes);
}

int inbox_pin(struct inbox *inbox)
{
	const size_t rest = inbox->end - inbox->begin, room = rest < INBOX_ROOM / 2 ? INBOX_ROOM : 2 * rest;

	if (inbox->pinned)
		return 0; /* nobody uses the newer buffer yet */
	uint8_t *bytes = malloc(room);
	if (!bytes)
		return -ENOMEM;
	if (rest > 0)
		memcpy(bytes, inbox->bytes + inbox->begin, rest);
	inbox->pinned = inbox->bytes;
	inbox->bytes = bytes;
	inbox->room = room;
	inbox->begin = 0;
	inbox->end = rest;
	return 0;
}

/* ---- arrived ---- */

static bool next_message(struct inbox *inbox, struct span *message)
{
	const uint8_t *from = inbox->bytes + inbox->begin;

	if (inbox->begin == inbox->end)
		return false;
	const int r = scan_run(&inbox->scan, from, inbox->end - inbox->begin);
	if (r < 0)
		quit_protocol();
	if (r == 0)
		return false;
	*message = (struct span){.bytes = from, .size = (size_t)inbox->scan.pos};
	inbox->begin += message->size;
	scan_begin(&inbox->scan, INT64_MAX);
	return true;
}

/* Takes [FILES, numbers]: the files of the next message, which may come much later. */
static bool take_files(struct inbox *inbox, struct span message)
{
	if (message.size < 3 || message.bytes[0] != (BYTE_FIXARRAY | 2) || message.bytes[1] != TO_FILES)
		return false;
	inbox->announced =
		worker_files_new(&inbox->mappings, &inbox->arrivals, (struct span){message.bytes + 2, message.size - 2});
	if (!inbox->announced) {
		(void)fprintf(stderr, "the descriptors of a message are missing\n");
		quit_protocol();
	}
	return true;
}

static bool next_arrived(struct inbox *inbox, struct span *message)
{
	do
		if (!next_message(inbox, message))
			return false;
	while (take_files(inbox, *message));
	inbox->arrived = worker_files_free(inbox->arrived);
	inbox->arrived = inbox->announced;
	inbox->announced = NULL;
	return true;
}

/* ---- both ---- */

bool inbox_next(struct inbox *inbox, struct span *message)
{
	struct held *held = STAILQ_FIRST(&inbox->held);

	free(inbox->pinned);
	inbox->pinned = NULL;
	inbox->files = worker_files_free(inbox->files);
	if (held && inbox->giving) {
		STAILQ_REMOVE_HEAD(&inbox->held, link);
		free(held);
		held = STAILQ_FIRST(&inbox->held);
	}
	inbox->giving = held != NULL;
	if (!held && !next_arrived(inbox, message))
		return false;
	struct worker_files **from = held ? &held->files : &inbox->arrived;
	inbox->files = *from;
	*from = NULL;
	if (held)
		*message = (struct span){.bytes = held->bytes, .size = held->size};
	return true;
}

/* ---- reading ---- */

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

int inbox_poll(struct pollfd *polled, nfds_t count, uint64_t until)
{
	if (until == UINT64_MAX)
		return poll(polled, count, -1);
	const uint64_t now = (uint64_t)clock_now(), left = until > now ? until - now : 0;
	const struct timespec t = {.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};
	return ppoll(polled, count, &t, NULL);
}

int inbox_read(struct inbox *inbox)
{
	if (make_room(inbox) < 0) {
		(void)fprintf(stderr, "there is no memory for what was sent to this worker\n");
		quit_memory();
	}
	const ssize_t n = arrivals_recv(&inbox->arrivals, inbox->fd, inbox->bytes + inbox->end, inbox->room - inbox->end, 0);
	if (n > 0)
		inbox->end += (size_t)n;
	if (n == -EPROTO) {
		(void)fprintf(stderr, "descriptors that came for this worker were lost: it has too many files open\n");
		quit_protocol();
	}
	return n > 0 ? 1 : (int)n;
}

int inbox_fill(struct inbox *inbox, uint64_t until)
{
	struct pollfd p = {.fd = inbox->fd, .events = POLLIN};

	/* A process that sleeps in read() on a Unix socket is woken, for nothing, when its peer reads. One that sleeps in
	 * poll() is not: one more system call here saves a switch of tasks for each answer. */
	const int ready = inbox_poll(&p, 1, until);
	if (ready < 0 && errno != EINTR)
		return -errno;
	return ready == 0 ? -ETIMEDOUT : inbox_read(inbox);
}

struct reader inbox_await(struct inbox *inbox, uint32_t wanted, uint64_t *type)
{
	struct span message;
	uint32_t n;

	for (;;) {
		while (next_arrived(inbox, &message)) {
			struct reader reader = reader_of(message);
			if (read_array(&reader, &n) < 0 || read_uint(&reader, type) < 0)
				quit_protocol();
			if (*type < 32 && wanted >> *type & 1)
				return reader;
			if (put_aside(inbox, message) < 0)
				quit_memory(); /* a message must not be lost in silence */
		}
		if (inbox_fill(inbox, UINT64_MAX) <= 0)
			quit_cut_off();
	}
}
