/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport: how the bytes of one connection go, and the events of its descriptor. Intake and outlet know no other way to a
 * socket. Its owner (session, handshake, worker) says whether it wants to read and to send, and is called when it can. socket.h
 * has the plain socket, tls.h TLS.
 *
 * The functions are made so that OpenSSL on a non-blocking socket fits them:
 *
 * - To read, TLS may have to write first, and to write it may have to read. A function that can't go on returns -EAGAIN, and sets
 *   what reading or sending awaits. That may change with each operation: so after each one the owner says again what it wants.
 * - TLS may hold bytes that it has decrypted and that nobody has read. The socket is not readable because of them, so `pending`
 *   tells of them, and the owner reads again without an event.
 * - `read` fills the memory that it is given: what is read is not copied a second time.
 * - TLS has to repeat a `send` that returned -EAGAIN with the same bytes in front, and more behind them at most. Outlet does so:
 *   bytes leave a send queue only once they are sent.
 * - TLS can't pass descriptors. Only a transport that can is given an `arrivals`, or a message with control data.
 */
#ifndef SUPERVISOR_TRANSPORT_H
#define SUPERVISOR_TRANSPORT_H

#include "proto/arrivals.h"

#include <event2/event_struct.h>

struct tls;

enum transport_event { TRANSPORT_READABLE = 1, TRANSPORT_WRITABLE = 2 };

struct transport {
	const struct transport_ops *ops;
	int fd;                             /* -1: there is no connection */
	struct tls *tls;                    /* of a connection with TLS (tls.h); NULL: it has none */
	enum transport_event read_awaits;   /* after -EAGAIN: the event with which `read` can go on */
	enum transport_event send_awaits;   /* likewise for `send` */
	bool pending;                       /* the last `read` has left bytes that no event tells of */
	bool reading, sending;              /* what the owner wants */
	unsigned watched;                   /* events that are set, as bits of transport_event */
	struct event readable, writable;
	void (*on_readable)(struct transport *transport);
	void (*on_sendable)(struct transport *transport);
};

struct transport_ops {
	bool encrypted; /* nobody on the way can read the bytes */
	/* Reads once. Returns how many bytes; 0: end of input; a negative errno. Descriptors go to `arrivals`, as by
	 * arrivals_recv; NULL: they are not expected. */
	ssize_t (*read)(struct transport *transport, void *bytes, size_t size, struct arrivals *arrivals);
	/* Sends a part of the message. Returns how many bytes, or a negative errno. */
	ssize_t (*send)(struct transport *transport, const struct msghdr *message);
	/* As shutdown(2). TLS tells its peer. */
	void (*shutdown)(struct transport *transport, int how);
	/* Closes the descriptor, and frees what the transport holds. Descriptors that wait unread are charged to the account
	 * until they are closed. */
	void (*close)(struct transport *transport, struct account *account);
};

static inline struct transport transport_of(const struct transport_ops *ops, int fd)
{
	return (struct transport){
		.ops = ops, .fd = fd, .read_awaits = TRANSPORT_READABLE, .send_awaits = TRANSPORT_WRITABLE};
}

static inline ssize_t transport_read(struct transport *transport, void *bytes, size_t size, struct arrivals *arrivals)
{
	return transport->ops->read(transport, bytes, size, arrivals);
}

static inline ssize_t transport_send(struct transport *transport, const struct msghdr *message)
{
	return transport->ops->send(transport, message);
}

static inline void transport_shutdown(struct transport *transport, int how)
{
	transport->ops->shutdown(transport, how);
}

/* The owner is called by these functions. */
void transport_open(struct transport *transport, struct event_base *base, void (*on_readable)(struct transport *transport),
		    void (*on_sendable)(struct transport *transport));

/* From now on the owner wants, or doesn't want, to read, or to send what could not be sent. 0, or -ENOMEM: it will not be
 * called. */
int transport_want_read(struct transport *transport, bool wanted);
int transport_want_send(struct transport *transport, bool wanted);

/* Closes the connection, if there is one. */
void transport_close(struct transport *transport, struct account *account);

#endif
