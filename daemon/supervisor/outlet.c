/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/outlet.h"

#include <errno.h>
#include <sys/socket.h>

enum { SPANS = 64 };

int outlet_flush(struct sendq *queue, int fd)
{
	struct iovec iov[SPANS];

	if (queue->failed)
		return -ENOMEM;
	while (queue->bytes > 0) {
		struct msghdr message = {.msg_iov = iov};
		message.msg_iovlen = (size_t)sendq_iov(queue, iov, SPANS);
		const ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 1 : -errno;
		sendq_sent(queue, (size_t)n);
	}
	sendq_sent(queue, 0); /* drops segments that are used up */
	return 0;
}
