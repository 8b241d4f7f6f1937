/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/stream.h"

#include <errno.h>
#include <sys/socket.h>

enum { SPANS = 64 };

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(SENDQ_PASS * sizeof(int))];
};

static unsigned attach(struct msghdr *message, union control *control, const struct sendq *queue)
{
	int fds[SENDQ_PASS];
	const unsigned n = queue->descriptors > 0 ? sendq_descriptors(queue, (int)message->msg_iovlen, fds) : 0;

	if (n == 0)
		return 0;
	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(n * sizeof(int));
	control->head =
		(struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n * sizeof(int))};
	memcpy(CMSG_DATA(&control->head), fds, n * sizeof(int));
	return n;
}

int stream_send(int fd, struct sendq *queue)
{
	struct iovec iov[SPANS];
	union control control;
	ssize_t n;

	if (queue->failed)
		return -ENOMEM;
	while (queue->bytes > 0) {
		struct msghdr message = {.msg_iov = iov};
		message.msg_iovlen = (size_t)sendq_iov(queue, iov, SPANS);
		const unsigned passed = attach(&message, &control, queue);
		do
			n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			return errno == EAGAIN || errno == ETOOMANYREFS ? 1 : -errno;
		if (passed > 0)
			sendq_passed(queue, passed);
		sendq_sent(queue, (size_t)n);
	}
	sendq_sent(queue, 0); /* drops segments that are used up */
	return 0;
}
