/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/unread.h"

#include "daemon/supervisor/base/closer.h"
#include "proto/arrivals.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LOOKS = 64 /* in one sweep */ };

/* Does not ask the file system of a file: it may be a stranger's FUSE, and never answer. */
static bool is_socket(int fd)
{
	int type;
	socklen_t size = sizeof type;
	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

/* Closes the descriptors: MSG_PEEK has made copies of them. True: one of them is refused. */
static bool close_all(struct account *account, struct msghdr *message)
{
	struct arrivals_walk walk = arrivals_walk(message);
	bool found = false;
	int fd;

	while ((fd = arrivals_next(&walk)) >= 0) {
		if (fcntl(fd, F_GET_SEALS) >= 0) { /* a memory file, which its sender still has open: closing takes no time */
			(void)close(fd);
			continue;
		}
		found = is_socket(fd) || found;
		closer_put(account, fd);
	}
	return found || !account_has_room_for_file(account);
}

/* Looks at the bytes up to the next descriptors, and at these. Returns how many bytes; -1: there are no more, or not all
 * descriptors could be received. */
static ssize_t look(struct account *account, int fd, struct block *scratch, bool *found)
{
	union arrivals_control control;
	struct iovec iov = {.iov_base = scratch->bytes, .iov_len = scratch->capacity};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	const ssize_t n = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n <= 0)
		return -1;
	*found = (message.msg_controllen > 0 && close_all(account, &message)) || *found;
	return message.msg_flags & MSG_CTRUNC ? -1 : n;
}

bool unread_find_refused(struct account *account, int fd, uint32_t *looked, struct block *scratch)
{
	const int none = -1;
	int waiting = 0, from = (int)*looked;
	bool found = false;
	ssize_t n = 0;

	if (ioctl(fd, FIONREAD, &waiting) < 0 || waiting <= from ||
	    setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &from, sizeof from) < 0)
		return false;
	for (int i = 0; i < LOOKS && !found && n >= 0; i++) {
		n = look(account, fd, scratch, &found);
		*looked += n > 0 ? (uint32_t)n : 0;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &none, sizeof none);
	return found;
}
