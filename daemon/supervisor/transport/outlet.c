/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/transport/outlet.h"

#include <errno.h>
#include <sys/socket.h>

enum { SPANS = 64, DESCRIPTORS = SENDQ_PASS };

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
};

/* The descriptors that belong to the message's spans. */
static unsigned attach(struct msghdr *message, union control *control, const struct sendq *queue)
{
	int fds[DESCRIPTORS];
	const unsigned n = sendq_descriptors(queue, (int)message->msg_iovlen, fds);

	if (n == 0)
		return 0;
	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(n * sizeof(int));
	control->head =
		(struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n * sizeof(int))};
	memcpy(CMSG_DATA(&control->head), fds, n * sizeof(int));
	return n;
}

int outlet_flush(struct sendq *queue, struct transport *transport)
{
	struct iovec iov[SPANS];
	union control control;
	unsigned passed = 0;

	if (queue->failed)
		return -ENOMEM;
	while (queue->bytes > 0) {
		struct msghdr message = {.msg_iov = iov};
		message.msg_iovlen = (size_t)sendq_iov(queue, iov, SPANS);
		if (queue->descriptors > 0)
			passed = attach(&message, &control, queue);
		const ssize_t n = transport_send(transport, &message);
		if (n < 0)
			return n == -EAGAIN || n == -ETOOMANYREFS ? 1 : (int)n;
		if (passed > 0)
			sendq_passed(queue, passed);
		passed = 0;
		sendq_sent(queue, (size_t)n);
	}
	sendq_sent(queue, 0); /* drops segments that are used up */
	return 0;
}
