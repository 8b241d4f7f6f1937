/* SPDX-License-Identifier: Apache-2.0 */
/* socket: the transports that are a plain stream socket. */
#ifndef SUPERVISOR_SOCKET_H
#define SUPERVISOR_SOCKET_H

#include "daemon/supervisor/transport/transport.h"

/* TCP, and the channel of a worker. */
extern const struct transport_ops socket_transport;

/* A Unix socket of a client: descriptors that take long to close may wait in it when it is closed (closer.h). */
extern const struct transport_ops socket_transport_unix;

#endif
