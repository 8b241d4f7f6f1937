/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arrivals: keeps descriptors that have come over a Unix socket until the bytes that refer to them have been read.
 *
 * The kernel gives a descriptor with the first byte of the sendmsg that it came with, or earlier. A read that brings descriptors
 * ends with bytes of that sendmsg. So a descriptor does not belong to a message that begins at `until`, where that read ended, or
 * later.
 */
#ifndef PROTO_ARRIVALS_H
#define PROTO_ARRIVALS_H

#include "proto/account.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

enum { ARRIVALS_MAX = 512 };

struct arrivals {
	struct arrival {
		int fd;
		uint64_t until;
		uint64_t size; /* of its file, charged */
	} *ring;             /* NULL: none has come yet */
	uint32_t first, count;
	uint64_t read;       /* bytes, in all */
	struct account *account; /* whom their files are charged to while they wait here; NULL: nobody counts */
	bool refusing;           /* all that come are discarded */
	bool takes_ends;         /* a client or a worker: ends of sockets and pipes are sent to it, too */
	void (*discard)(struct account *account,
			int fd); /* closes what a stranger has handed over, which may take long, and counts it
							   * until then; NULL: close does */
};

enum { ARRIVALS_AT_ONCE = 253 /* SCM_MAX_FD: descriptors of one message */ };

union arrivals_control {
	struct cmsghdr head;
	char room[CMSG_SPACE(ARRIVALS_AT_ONCE * sizeof(int))];
};

/* Gives the descriptors of a received message one by one; -1: there are no more. */
struct arrivals_walk {
	struct msghdr *message;
	struct cmsghdr *at;
	size_t next; /* of them, in `at` */
};
struct arrivals_walk arrivals_walk(struct msghdr *message);
int arrivals_next(struct arrivals_walk *walk);

/*
 * Receives as recv does. Descriptors go to the end of the queue. A descriptor that is no sealed memory file is closed at once:
 * it could be the other end of this connection, which would then never end (a client
 * keeps ends of sockets and pipes that it has asked for). A file that is charged to an account is sealed
 * against growing, so that the charge stays right. -EPROTO: descriptors were lost, there are too many, or too many that are no
 * memory files are still being closed.
 */
ssize_t arrivals_recv(struct arrivals *arrivals, int fd, void *bytes, size_t size, int flags);

/* The next descriptor. The caller closes it, and charges it if it keeps it. -1: there is none. Otherwise it was closed when it
 * came, for one of these reasons: */
enum {
	ARRIVAL_FOREIGN = -2,   /* it is no sealed memory file */
	ARRIVAL_NO_ROOM = -3,   /* the account has too many */
	ARRIVAL_NO_MEMORY = -4, /* with its file the account would hold more than its share */
};
int arrivals_take(struct arrivals *arrivals);

/* Closes the descriptors that belong to messages before the stream's byte `at`. */
void arrivals_drop(struct arrivals *arrivals, uint64_t at);

/* Closes all. */
void arrivals_clear(struct arrivals *arrivals);

#endif
