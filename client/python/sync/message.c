/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of a SimpleQueue: packets of a socket, which the kernel gives to one receiver whole.
 *
 *   small    the message
 *   large    an empty packet with a memfd, which has the message
 *
 * Small messages end with a byte of their own, so that none is empty.
 */
#include "client/python/sync/sync.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PACKET_MAX = 1 << 16, TRY_AGAIN = 5000000 /* ns */ };

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static int write_all(int fd, const char *data, size_t size)
{
	while (size) {
		const ssize_t done = write(fd, data, size);
		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0)
			data += done, size -= (size_t)done;
	}
	return 0;
}

static int read_all(int fd, char *data, size_t size)
{
	off_t at = 0;

	while (size) {
		const ssize_t done = pread(fd, data, size, at);
		if (done == 0)
			return -EIO;
		if (done < 0 && errno != EINTR)
			return -errno;
		if (done > 0)
			data += done, at += done, size -= (size_t)done;
	}
	return 0;
}

/* Sends, and waits while the socket is full, or this user has too many descriptors under way. */
static int send_packet(int socket, struct msghdr *packet)
{
	const struct timespec pause = {.tv_nsec = TRY_AGAIN};

	if (sendmsg(socket, packet, MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno == ETOOMANYREFS)
		(void)nanosleep(&pause, NULL);
	else if (errno == EAGAIN)
		(void)poll(&(struct pollfd){.fd = socket, .events = POLLOUT}, 1, -1);
	else
		return -errno;
	return -EINTR;
}

static int send_whole(int socket, struct msghdr *packet)
{
	int result;

	do {
		Py_BEGIN_ALLOW_THREADS result = send_packet(socket, packet);
		Py_END_ALLOW_THREADS
	} while (result == -EINTR && PyErr_CheckSignals() == 0);
	if (result < 0 && !PyErr_Occurred()) {
		errno = -result;
		PyErr_SetFromErrno(PyExc_OSError);
	}
	return result;
}

static int send_small(int socket, const Py_buffer *message)
{
	char end = 0;
	struct iovec parts[2] = {{.iov_base = message->buf, .iov_len = (size_t)message->len}, {.iov_base = &end, .iov_len = 1}};
	struct msghdr packet = {.msg_iov = parts, .msg_iovlen = 2};

	return send_whole(socket, &packet);
}

static int send_large(int socket, const Py_buffer *message)
{
	char end = 0;
	struct iovec part = {.iov_base = &end, .iov_len = 1};
	union control control = {.bytes = {0}};
	struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	int result;

	const int fd = memfd_create("objpool", MFD_CLOEXEC);
	if (fd < 0) {
		PyErr_SetFromErrno(PyExc_OSError);
		return -1;
	}
	Py_BEGIN_ALLOW_THREADS result = write_all(fd, message->buf, (size_t)message->len);
	Py_END_ALLOW_THREADS control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(&control.align), &fd, sizeof fd);
	if (result < 0) {
		errno = -result;
		PyErr_SetFromErrno(PyExc_OSError);
	} else
		result = send_whole(socket, &packet);
	(void)close(fd);
	return result;
}

PyObject *message_send(PyObject *module, PyObject *args)
{
	Py_buffer message;
	int socket;

	(void)module;
	if (!PyArg_ParseTuple(args, "iy*:send", &socket, &message))
		return NULL;
	const int result = message.len < PACKET_MAX ? send_small(socket, &message) : send_large(socket, &message);
	PyBuffer_Release(&message);
	return result < 0 ? NULL : Py_NewRef(Py_None);
}

static int receive_packet(int socket, struct msghdr *packet, ssize_t *size)
{
	int result;

	do {
		Py_BEGIN_ALLOW_THREADS *size = recvmsg(socket, packet, MSG_CMSG_CLOEXEC);
		result = *size < 0 ? -errno : 0;
		if (result == -EAGAIN) {
			(void)poll(&(struct pollfd){.fd = socket, .events = POLLIN}, 1, -1);
			result = -EINTR;
		}
		Py_END_ALLOW_THREADS
	} while (result == -EINTR && PyErr_CheckSignals() == 0);
	if (result < 0 && !PyErr_Occurred()) {
		errno = -result;
		PyErr_SetFromErrno(PyExc_OSError);
	}
	return result;
}

static PyObject *read_large(int fd)
{
	struct stat status;
	int result = fstat(fd, &status) < 0 ? -errno : 0;
	PyObject *message = result ? NULL : PyBytes_FromStringAndSize(NULL, (Py_ssize_t)status.st_size);

	if (message) {
		Py_BEGIN_ALLOW_THREADS result = read_all(fd, PyBytes_AS_STRING(message), (size_t)status.st_size);
		Py_END_ALLOW_THREADS
	}
	(void)close(fd);
	if (!result)
		return message;
	Py_XDECREF(message);
	errno = -result;
	return PyErr_SetFromErrno(PyExc_OSError);
}

PyObject *message_receive(PyObject *module, PyObject *args)
{
	static __thread char buffer[PACKET_MAX + 1];
	struct iovec part = {.iov_base = buffer, .iov_len = sizeof buffer};
	union control control;
	struct msghdr packet = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	ssize_t size;
	int socket;

	(void)module;
	if (!PyArg_ParseTuple(args, "i:receive", &socket))
		return NULL;
	if (receive_packet(socket, &packet, &size) < 0)
		return NULL;
	const struct cmsghdr *rights = CMSG_FIRSTHDR(&packet);
	if (rights && rights->cmsg_type == SCM_RIGHTS) {
		int fd;
		memcpy(&fd, CMSG_DATA(rights), sizeof fd);
		return read_large(fd);
	}
	if (size == 0) {
		PyErr_SetNone(PyExc_EOFError);
		return NULL;
	}
	return PyBytes_FromStringAndSize(buffer, size - 1);
}
