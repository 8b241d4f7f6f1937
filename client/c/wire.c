/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/wire.h"

#include "client/c/packer.h"
#include "proto/payload_ref.h"

#include <errno.h>
#include <poll.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	WIRE_READ = CLIENT_TLS_ROOM, /* a read has at least so much room */
	WIRE_KEEP = 1 << 20,         /* a buffer that has grown beyond this for a large message is freed after it */
	WIRE_BELIEVE = 1 << 30,      /* the size that a message says of itself is believed up to this */
	WIRE_HUGE_PAGE = 2 << 20,
	WIRE_HUGE = 8 << 20, /* such a buffer asks for huge pages */
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
	client_tls_close(wire->tls, wire->fd);
	wire->tls = NULL;
	if (wire->fd >= 0)
		(void)close(wire->fd);
	wire->fd = -1;
	if (wire->rings)
		rings_close(wire->rings);
	free(wire->rings);
	wire->rings = NULL;
	objpool_packer_free(&wire->output);
	free(wire->input);
	wire->input = NULL;
	wire_detach(wire, 0);
	free(wire->descriptors);
	wire->descriptors = NULL;
	arrivals_clear(&wire->arrivals);
}

/* ---- sending --------------------------------------------------------------------------------------------------------- */

void wire_lend(struct wire *wire, struct objpool_bytes value)
{
	wire->lent = value;
	wire->lent_at = wire->output.size;
}

void wire_keep_lent(struct wire *wire)
{
	const struct objpool_bytes lent = wire->lent;
	unsigned char *end = lent.size ? packer_room(&wire->output, lent.size) : NULL;

	wire->lent = (struct objpool_bytes){NULL, 0};
	if (!end)
		return; /* packer_room has set the output's error */
	unsigned char *place = wire->output.data + wire->lent_at;
	memmove(place + lent.size, place, (size_t)(end - place));
	memcpy(place, lent.data, lent.size);
	wire->output.size += lent.size;
	for (size_t i = 0; i < wire->descriptor_count; i++)
		wire->descriptors[i].at += wire->descriptors[i].at >= wire->lent_at ? lent.size : 0;
}

void wire_attach(struct wire *wire, size_t at, struct block *block)
{
	if (wire->descriptor_count == wire->descriptor_room) {
		const size_t room = wire->descriptor_room ? 2 * wire->descriptor_room : 8;
		struct wire_descriptor *descriptors = reallocarray(wire->descriptors, room, sizeof *descriptors);
		if (!descriptors) {
			wire->output.error = -ENOMEM;
			return;
		}
		wire->descriptors = descriptors;
		wire->descriptor_room = room;
	}
	wire->descriptors[wire->descriptor_count++] = (struct wire_descriptor){.at = at, .block = block_ref(block)};
}

size_t wire_attached(const struct wire *wire, size_t at)
{
	size_t n = 0;

	while (n < wire->descriptor_count && wire->descriptors[wire->descriptor_count - 1 - n].at == at)
		n++;
	return n;
}

void wire_detach(struct wire *wire, size_t at)
{
	while (wire->descriptor_count > 0 && wire->descriptors[wire->descriptor_count - 1].at >= at)
		block_unref(wire->descriptors[--wire->descriptor_count].block);
}

/* The first descriptors have been sent. */
static void drop_sent_descriptors(struct wire *wire, size_t count)
{
	for (size_t i = 0; i < count; i++)
		block_unref(wire->descriptors[i].block);
	wire->descriptor_count -= count;
	if (count > 0)
		memmove(wire->descriptors, wire->descriptors + count, wire->descriptor_count * sizeof *wire->descriptors);
}

/* Empties the output if all has been sent. Moves the rest to its beginning if that is the smaller half. */
static void tidy_output(struct wire *wire)
{
	struct objpool_packer *output = &wire->output;

	if (wire_unsent(wire) == 0) {
		output->size = wire->sent = 0;
		if (output->capacity > WIRE_KEEP)
			objpool_packer_free(output);
	} else if (wire->sent >= output->size / 2 && wire->sent > 0) {
		memmove(output->data, output->data + wire->sent, output->size - wire->sent);
		output->size -= wire->sent;
		wire->lent_at -= wire->lent.size ? wire->sent : 0;
		for (size_t i = 0; i < wire->descriptor_count; i++)
			wire->descriptors[i].at -= wire->sent;
		wire->sent = 0;
	}
}

static void add_span(struct msghdr *message, const void *bytes, size_t size)
{
	if (size > 0)
		message->msg_iov[message->msg_iovlen++] = (struct iovec){.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
}

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(PAYLOAD_FILES * sizeof(int))];
};

/* How many descriptors go with the message whose first byte is sent next. */
static size_t descriptors_due(const struct wire *wire)
{
	const bool lent_first = wire->lent.size > 0 && wire->lent_at == wire->sent;
	size_t n = 0;

	while (!lent_first && n < wire->descriptor_count && wire->descriptors[n].at == wire->sent)
		n++;
	return n;
}

static void attach(struct msghdr *message, union control *control, const struct wire *wire, size_t count)
{
	if (count == 0)
		return;
	*control = (union control){0}; /* also the padding, which the kernel is given */
	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(count * sizeof(int));
	control->head =
		(struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof(int))};
	for (size_t i = 0; i < count; i++)
		memcpy(CMSG_DATA(&control->head) + i * sizeof(int), &wire->descriptors[i].block->fd, sizeof(int));
}

/* Sends what comes before the next message with descriptors. `*descriptors` of them go with it. */
static ssize_t send_spans(const struct wire *wire, size_t *descriptors)
{
	const unsigned char *output = wire->output.data;
	*descriptors = descriptors_due(wire);
	const size_t stop = *descriptors < wire->descriptor_count ? wire->descriptors[*descriptors].at : wire->output.size;
	const bool lends = wire->lent.size > 0 && wire->lent_at <= stop;
	const size_t lent_at = lends ? wire->lent_at : stop;
	struct iovec spans[3];
	struct msghdr message = {.msg_iov = spans};
	union control control;

	add_span(&message, output + wire->sent, lent_at - wire->sent);
	add_span(&message, wire->lent.data, lends ? wire->lent.size : 0);
	add_span(&message, output + lent_at, stop - lent_at);
	attach(&message, &control, wire, *descriptors);
	if (message.msg_iovlen == 1 && message.msg_controllen == 0)
		/* takes the kernel less time than sendmsg */
		return send(wire->fd, spans[0].iov_base, spans[0].iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	return sendmsg(wire->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* As send: errno, and 0 for none. There are no lent bytes and no descriptors. */
static ssize_t put_in_rings(const struct wire *wire)
{
	const ssize_t n = rings_put(wire->rings, wire->output.data + wire->sent, wire->output.size - wire->sent);

	errno = n == 0 ? EAGAIN : (int)-n;
	return n > 0 ? n : -1;
}

/* Likewise. Lent bytes are encrypted from where they lie. */
static ssize_t put_in_tls(const struct wire *wire)
{
	const bool lends = wire->lent.size > 0, lent_first = lends && wire->lent_at == wire->sent;
	const size_t stop = lends ? wire->lent_at : wire->output.size;
	const void *bytes = lent_first ? wire->lent.data : wire->output.data + wire->sent;
	const ssize_t n = client_tls_put(wire->tls, wire->fd, bytes, lent_first ? wire->lent.size : stop - wire->sent);

	errno = n < 0 ? (int)-n : 0;
	return n >= 0 ? n : -1;
}

static ssize_t send_some(const struct wire *wire, size_t *descriptors)
{
	if (wire->tls)
		return put_in_tls(wire);
	return wire->rings ? put_in_rings(wire) : send_spans(wire, descriptors);
}

/* `n` bytes have been sent: first those before the lent bytes, then lent bytes, then those after. */
static void count_sent(struct wire *wire, size_t n)
{
	if (wire->lent.size > 0) {
		const size_t before = n < wire->lent_at - wire->sent ? n : wire->lent_at - wire->sent;
		const size_t lent = n - before < wire->lent.size ? n - before : wire->lent.size;
		wire->sent += before;
		wire->lent.data = (const unsigned char *)wire->lent.data + lent;
		wire->lent.size -= lent;
		n -= before + lent;
	}
	wire->sent += n;
}

int wire_flush(struct wire *wire)
{
	size_t descriptors = 0;

	while (wire_unsent(wire) > 0) {
		const ssize_t n = send_some(wire, &descriptors);
		if (n >= 0) {
			drop_sent_descriptors(wire, descriptors);
			count_sent(wire, (size_t)n);
			continue;
		}
		if (errno == EINTR)
			continue;
		const int error = errno;
		tidy_output(wire);
		return error == EAGAIN || error == ETOOMANYREFS ? 1 : -error;
	}
	tidy_output(wire);
	return 0;
}

/* ---- receiving ------------------------------------------------------------------------------------------------------- */

/*
 * The first access to small fresh pages costs more than the copy into them. A kernel without huge pages refuses; nothing else
 * changes.
 */
static void advise_huge(unsigned char *bytes, size_t size)
{
	const uintptr_t begin = ((uintptr_t)bytes + WIRE_HUGE_PAGE - 1) & ~(uintptr_t)(WIRE_HUGE_PAGE - 1);
	const uintptr_t end = ((uintptr_t)bytes + size) & ~(uintptr_t)(WIRE_HUGE_PAGE - 1);

	if (begin < end)
		(void)madvise((void *)begin, end - begin, MADV_HUGEPAGE);
}

/*
 * Twice the capacity; or what the message needs as far as the scan knows: a large value has its size at its beginning. The size
 * need not be true: until bytes come, the memory is only address space.
 */
static size_t wanted_capacity(const struct wire *wire)
{
	const size_t twice = 2 * wire->capacity + 2 * WIRE_READ;
	const uint64_t known = wire->scan.pos + 2 * WIRE_READ;

	return known > twice && known < WIRE_BELIEVE ? (size_t)known : twice;
}

/* Makes room for a read behind the part of a message that has come. */
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
	const size_t capacity = wanted_capacity(wire);
	unsigned char *input = realloc(wire->input, capacity);
	if (!input)
		return -ENOMEM;
	wire->input = input;
	wire->capacity = capacity;
	if (capacity >= WIRE_HUGE)
		advise_huge(input, capacity);
	return 0;
}

/* 0: the worker has closed the socket, and what it had written before has been read. */
static ssize_t take_from_rings(struct wire *wire, void *bytes, size_t size)
{
	const ssize_t n = rings_take(wire->rings, bytes, size);
	char byte;

	if (n != 0)
		return n;
	const ssize_t got = recv(wire->fd, &byte, 1, MSG_DONTWAIT);
	if (got < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	return got == 0 ? rings_take(wire->rings, bytes, size) : -EBADMSG;
}

static ssize_t take_from_socket(struct wire *wire, void *bytes, size_t size)
{
	ssize_t n;

	if (wire->takes_descriptors)
		return arrivals_recv(&wire->arrivals, wire->fd, bytes, size, MSG_DONTWAIT);
	do
		n = recv(wire->fd, bytes, size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t receive(struct wire *wire, void *bytes, size_t size, bool *more)
{
	if (wire->tls)
		return client_tls_take(wire->tls, wire->fd, bytes, size, more);
	const ssize_t n = wire->rings ? take_from_rings(wire, bytes, size) : take_from_socket(wire, bytes, size);
	*more = n == (ssize_t)size;
	return n;
}

/* In poll, since in recv the process would be woken, for nothing, when its peer reads what was sent: that is one system call more
 * and one switch of tasks less for each answer. */
static void wait_for_bytes(const struct wire *wire)
{
	struct rings *rings = wire->rings;
	struct pollfd polled[2] = {{.fd = wire->fd, .events = POLLIN}, {.fd = rings ? rings->wakes_us : -1, .events = POLLIN}};

	if (rings && !rings_fall_asleep(rings))
		return;
	while (poll(polled, rings ? 2 : 1, -1) < 0 && errno == EINTR) {
	}
	if (rings)
		rings_wake(rings, polled[1].revents & POLLIN);
}

int64_t wire_fill(struct wire *wire, bool wait, bool *more)
{
	*more = false;
	if (make_room(wire) < 0)
		return -ENOMEM;
	const size_t room = wire->capacity - wire->end;
	if (wait)
		wait_for_bytes(wire);
	const ssize_t n = receive(wire, wire->input + wire->end, room, more);
	if (n < 0)
		return n == -EAGAIN ? 0 : n;
	if (n == 0)
		return -ECONNRESET;
	wire->end += (size_t)n;
	return n;
}

int wire_next(struct wire *wire, struct objpool_bytes *message)
{
	const int rc = scan_run(&wire->scan, wire->input + wire->begin, wire->end - wire->begin);

	if (rc <= 0)
		return rc;
	*message = (struct objpool_bytes){wire->input + wire->begin, (size_t)wire->scan.pos};
	wire->begin += message->size;
	wire->has_references = wire->takes_descriptors && wire->scan.refs > 0;
	scan_begin(&wire->scan, INT64_MAX);
	return 1;
}

void *wire_take_input(struct wire *wire, struct objpool_bytes value)
{
	const size_t rest = wire->end - wire->begin;
	unsigned char *taken = wire->input;
	const unsigned char *bytes = value.data;

	if (value.size < wire->capacity / 2 || bytes < taken || bytes >= taken + wire->end)
		return NULL;
	unsigned char *input = malloc(rest + 2 * WIRE_READ);
	if (!input)
		return NULL;
	memcpy(input, taken + wire->begin, rest);
	wire->input = input;
	wire->capacity = rest + 2 * WIRE_READ;
	wire->begin = 0;
	wire->end = rest;
	return taken;
}
