/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/arrivals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct arrivals_walk arrivals_walk(struct msghdr *message)
{
	return (struct arrivals_walk){.message = message, .at = CMSG_FIRSTHDR(message)};
}

int arrivals_next(struct arrivals_walk *walk)
{
	for (; walk->at; walk->at = CMSG_NXTHDR(walk->message, walk->at), walk->next = 0) {
		const bool is_rights = walk->at->cmsg_level == SOL_SOCKET && walk->at->cmsg_type == SCM_RIGHTS;
		const size_t at = CMSG_LEN(walk->next * sizeof(int));
		int fd;

		if (!is_rights || at + sizeof fd > walk->at->cmsg_len)
			continue;
		memcpy(&fd, (const char *)walk->at + at, sizeof fd);
		walk->next++;
		return fd;
	}
	return -1;
}

static void discard(const struct arrivals *arrivals, int fd)
{
	if (arrivals->discard)
		arrivals->discard(arrivals->account, fd);
	else
		(void)close(fd);
}

/* The file's bytes, or those of its pages if they are more: some may lie beyond its end. */
static uint64_t size_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	const uint64_t pages = (uint64_t)st.st_blocks * 512;
	return pages > (uint64_t)st.st_size ? pages : (uint64_t)st.st_size;
}

/* Makes sure that the file can't shrink, and, if its bytes are counted, that it can't grow. False: it can. */
static bool hold_size(int fd, bool counted)
{
	const int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return false;
	return !counted || (seals & F_SEAL_GROW) || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == 0;
}

static bool is_end(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && (S_ISSOCK(st.st_mode) || S_ISFIFO(st.st_mode));
}

/* Charges the descriptor and the *size bytes of its file to the account. Returns fd, or an ARRIVAL_… that says why the account
 * may not have it. */
static int charge(const struct arrivals *arrivals, int fd, uint64_t *size)
{
	struct account *account = arrivals->account;

	if (arrivals->takes_ends && is_end(fd))
		return fd;
	if (!hold_size(fd, account))
		return ARRIVAL_FOREIGN; /* and nothing else is asked of it: its file system may be a stranger's */
	if (!account_has_room_for_file(account))
		return ARRIVAL_NO_ROOM;
	*size = account ? size_of(fd) : 0;
	account_charge(account, *size);
	if (account && account_is_greedy(account)) {
		account_credit(account, *size);
		return ARRIVAL_NO_MEMORY;
	}
	account_add_file(account);
	return fd;
}

static struct arrival admit(const struct arrivals *arrivals, int fd)
{
	uint64_t size = 0;
	const int admitted = charge(arrivals, fd, &size);

	if (admitted < 0)
		discard(arrivals, fd);
	return (struct arrival){.fd = admitted, .until = arrivals->read, .size = admitted < 0 ? 0 : size};
}

/* -EPROTO: the sender has handed over so many files that take long to close that there is no room for more. */
static int check_discarded(const struct arrivals *arrivals)
{
	return account_has_room_for_file(arrivals->account) ? 0 : -EPROTO;
}

static int keep(struct arrivals *arrivals, int fd)
{
	if (arrivals->refusing) {
		discard(arrivals, fd);
		return check_discarded(arrivals);
	}
	if (!arrivals->ring)
		arrivals->ring = malloc(ARRIVALS_MAX * sizeof *arrivals->ring);
	if (!arrivals->ring || arrivals->count == ARRIVALS_MAX) {
		discard(arrivals, fd);
		return -EPROTO;
	}
	const struct arrival arrival = admit(arrivals, fd);
	arrivals->ring[(arrivals->first + arrivals->count++) % ARRIVALS_MAX] = arrival;
	return arrival.fd == ARRIVAL_FOREIGN ? check_discarded(arrivals) : 0;
}

static int keep_all(struct arrivals *arrivals, struct msghdr *message)
{
	struct arrivals_walk walk = arrivals_walk(message);
	int r = (message->msg_flags & MSG_CTRUNC) && !arrivals->refusing ? -EPROTO : 0;
	int fd;

	while ((fd = arrivals_next(&walk)) >= 0)
		if (keep(arrivals, fd) < 0)
			r = -EPROTO;
	return r;
}

ssize_t arrivals_recv(struct arrivals *arrivals, int fd, void *bytes, size_t size, int flags)
{
	union arrivals_control control;
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
	ssize_t n;

	do {
		n = recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	arrivals->read += (uint64_t)n;
	const int r = message.msg_controllen > 0 || (message.msg_flags & MSG_CTRUNC) ? keep_all(arrivals, &message) : 0;
	return r < 0 ? r : n;
}

int arrivals_take(struct arrivals *arrivals)
{
	if (arrivals->count == 0)
		return -1;
	const int fd = arrivals->ring[arrivals->first].fd;
	account_credit(arrivals->account, arrivals->ring[arrivals->first].size);
	if (fd >= 0)
		account_remove_file(arrivals->account);
	arrivals->first = (arrivals->first + 1) % ARRIVALS_MAX;
	arrivals->count--;
	return fd;
}

void arrivals_drop(struct arrivals *arrivals, uint64_t at)
{
	while (arrivals->count > 0 && arrivals->ring[arrivals->first].until <= at) {
		const int fd = arrivals_take(arrivals);
		if (fd >= 0)
			(void)close(fd);
	}
}

void arrivals_clear(struct arrivals *arrivals)
{
	arrivals_drop(arrivals, UINT64_MAX);
	free(arrivals->ring);
	arrivals->ring = NULL;
	arrivals->first = 0;
	arrivals->read = 0;
}
