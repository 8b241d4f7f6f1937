/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/transport/socket.h"

#include "daemon/supervisor/base/closer.h"

#include <errno.h>
#include <unistd.h>

static ssize_t socket_read(struct transport *transport, void *bytes, size_t size, struct arrivals *arrivals)
{
	ssize_t n;

	if (arrivals)
		return arrivals_recv(arrivals, transport->fd, bytes, size, 0);
	do {
		n = read(transport->fd, bytes, size);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* One piece without descriptors goes by send, which takes the kernel less time. */
static ssize_t send_once(int fd, const struct msghdr *message)
{
	const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;

	if (message->msg_iovlen == 1 && message->msg_controllen == 0)
		return send(fd, message->msg_iov->iov_base, message->msg_iov->iov_len, flags);
	return sendmsg(fd, message, flags);
}

static ssize_t socket_send(struct transport *transport, const struct msghdr *message)
{
	ssize_t n;

	do {
		n = send_once(transport->fd, message);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void socket_shutdown(struct transport *transport, int how)
{
	(void)shutdown(transport->fd, how);
}

static void close_plain(struct transport *transport, struct account *account)
{
	(void)account;
	(void)close(transport->fd);
}

static void close_unix(struct transport *transport, struct account *account)
{
	closer_put_connection(account, transport->fd);
}

const struct transport_ops socket_transport = {
	.read = socket_read,
	.send = socket_send,
	.shutdown = socket_shutdown,
	.close = close_plain,
};

const struct transport_ops socket_transport_unix = {
	.read = socket_read,
	.send = socket_send,
	.shutdown = socket_shutdown,
	.close = close_unix,
};
