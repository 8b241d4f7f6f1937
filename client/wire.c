/* SPDX-License-Identifier: Apache-2.0 */
#include "client/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	WIRE_READ = 64 << 10,  /* room for a read, at least */
	WIRE_KEEP = 1 << 20,   /* buffers that grew beyond this for one large message are given back after it */
};

void wire_open(struct wire *wire, int fd)
{
	const int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && (flags & O_NONBLOCK))
		(void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
	*wire = (struct wire){.fd = fd, .output = OBJPOOL_PACKER_INIT};
	scan_begin(&wire->scan, INT64_MAX);
}

void wire_close(struct wire *wire)
{
	if (wire->fd >= 0)
		(void)close(wire->fd);
	wire->fd = -1;
	objpool_packer_free(&wire->output);
	free(wire->input);
	wire->input = NULL;
}

/* All has been sent, or so much that moving the rest to the front costs less than the sending did. */
static void tidy_output(struct wire *wire)
{
	struct objpool_packer *output = &wire->output;

	if (wire->sent == output->size) {
		output->size = wire->sent = 0;
		if (output->capacity > WIRE_KEEP)
			objpool_packer_free(output);
	} else if (wire->sent >= output->size / 2) {
		memmove(output->data, output->data + wire->sent, output->size - wire->sent);
		output->size -= wire->sent;
		wire->sent = 0;
	}
}

int wire_flush(struct wire *wire)
{
	while (wire_unsent(wire) > 0) {
		const ssize_t n = send(wire->fd, wire->output.data + wire->sent, wire_unsent(wire), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0) {
			wire->sent += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		tidy_output(wire);
		return errno == EAGAIN ? 1 : -errno;
	}
	tidy_output(wire);
	return 0;
}

/* Room for a read behind the part of a message that is there. */
static int make_room(struct wire *wire)
{
	const size_t have = wire->end - wire->begin;

	if (wire->begin > 0 && have > 0)
		memmove(wire->input, wire->input + wire->begin, have);
	wire->begin = 0;
	wire->end = have;
	if (have == 0 && wire->capacity > WIRE_KEEP) {
		free(wire->input);
		wire->input = NULL;
		wire->capacity = 0;
	}
	if (wire->capacity - have >= WIRE_READ)
		return 0;
	const size_t capacity = 2 * wire->capacity + 2 * WIRE_READ;
	unsigned char *input = realloc(wire->input, capacity);
	if (!input)
		return -ENOMEM;
	wire->input = input;
	wire->capacity = capacity;
	return 0;
}

int64_t wire_fill(struct wire *wire, bool wait, bool *more)
{
	ssize_t n;

	*more = false;
	if (make_room(wire) < 0)
		return -ENOMEM;
	const size_t room = wire->capacity - wire->end;
	do
		n = recv(wire->fd, wire->input + wire->end, room, wait ? 0 : MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	wire->end += (size_t)n;
	*more = (size_t)n == room;
	return n;
}

int wire_next(struct wire *wire, struct objpool_bytes *message)
{
	const int rc = scan_run(&wire->scan, wire->input + wire->begin, wire->end - wire->begin);

	if (rc <= 0)
		return rc;
	*message = (struct objpool_bytes){wire->input + wire->begin, (size_t)wire->scan.pos};
	wire->begin += message->size;
	scan_begin(&wire->scan, INT64_MAX);
	return 1;
}
