/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/unread.h"

#include "daemon/supervisor/closer.h"

#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { AT_ONCE = 253 /* SCM_MAX_FD */, LOOKS = 64 /* in one sweep */ };

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(AT_ONCE * sizeof(int))];
};

/* Asks nothing of a file's own file system, which may be a stranger's. */
static bool is_socket(int fd)
{
	int type;
	socklen_t size = sizeof type;
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

/* To look makes a copy of each descriptor: closes the copies. True: one of them is a socket. */
static bool close_all(struct msghdr *message)
{
	bool found = false;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
			int fd;
			memcpy(&fd, (const char *)c + at, sizeof fd);
			found = is_socket(fd) || found;
			closer_put(fd);
		}
	}
	return found;
}

/* Looks at the bytes up to the next descriptors, and at these. Returns how many bytes; -1: there are no more, or not all
 * descriptors could be received. */
static ssize_t look(int fd, struct block *scratch, bool *found)
{
	union control control;
	struct iovec iov = {.iov_base = scratch->bytes, .iov_len = scratch->capacity};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	const ssize_t n = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return -1;
	*found = close_all(&message) || *found;
	return message.msg_flags & MSG_CTRUNC ? -1 : n;
}

bool unread_has_socket(int fd, uint32_t *looked, struct block *scratch)
{
	const int none = -1;
	int waiting = 0, from = (int)*looked;
	bool found = false;
	ssize_t n = 0;

	if (ioctl(fd, FIONREAD, &waiting) < 0 || waiting <= from ||
	    setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &from, sizeof from) < 0)
		return false;
	for (int i = 0; i < LOOKS && !found && n >= 0; i++) {
		n = look(fd, scratch, &found);
		*looked += n > 0 ? (uint32_t)n : 0;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &none, sizeof none);
	return found;
}
