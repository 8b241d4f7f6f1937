/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/direct_rings.h"

#include "proto/pack.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static size_t pack_offer(uint8_t *room)
{
	uint8_t *p = room;

	*p++ = BYTE_FIXARRAY | 3;
	*p++ = 2;
	p = pack_str(p, "objpool.rings", 13);
	p = pack_uint(pack_array(p, 1), RINGS_BYTES);
	return (size_t)(p - room);
}

/* False: the socket does not take it, which is empty. */
static bool send_offer(int fd, const int files[RINGS_FILES])
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(RINGS_FILES * sizeof(int))];
	} control = {.head = {.cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS,
			      .cmsg_len = CMSG_LEN(RINGS_FILES * sizeof(int))}};
	uint8_t room[32];
	struct iovec iov = {.iov_base = room, .iov_len = pack_offer(room)};
	const struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};

	memcpy(CMSG_DATA(&control.head), files, RINGS_FILES * sizeof(int));
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)iov.iov_len;
}

struct rings *direct_rings_offer(int fd)
{
	struct rings *rings = malloc(sizeof *rings);
	int files[RINGS_FILES];

	if (!rings || rings_make(rings, files) < 0) {
		free(rings);
		return NULL;
	}
	const bool sent = send_offer(fd, files);
	for (unsigned i = 0; i < RINGS_FILES; i++)
		(void)close(files[i]);
	if (sent)
		return rings;
	rings_close(rings);
	free(rings);
	return NULL;
}
