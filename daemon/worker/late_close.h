/* SPDX-License-Identifier: Apache-2.0 */
/*
 * late_close: closes descriptors that clients have sent, on a thread of its own. close(2) of such a descriptor may block for as
 * long as its sender likes: a TCP socket with SO_LINGER waits for its other end to read, a file of a FUSE for the FUSE's
 * server. The same goes for a connection in whose queue such descriptors are.
 */
#ifndef WORKER_LATE_CLOSE_H
#define WORKER_LATE_CLOSE_H

#include "proto/arrivals.h"

/* Closes the descriptors of a received message. If many threads are at such work already, or there is no memory for another, the
 * calling thread does it. So it is with late_close_connection. */
void late_close_sent(struct msghdr *message);

/* Closes a connection: at once if its queue is empty. Its peer sees the end, and can send nothing more. */
void late_close_connection(int fd);

#endif
