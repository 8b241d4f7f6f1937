/* SPDX-License-Identifier: Apache-2.0 */
/* stream: sends what a send queue holds over a Unix stream socket, with descriptors. */
#ifndef GATEWAY_STREAM_H
#define GATEWAY_STREAM_H

#include "proto/sendq.h"

/* Sends as much as the socket takes. 0: all; 1: the rest waits for the socket; a negative errno: it is of no use. */
int stream_send(int fd, struct sendq *queue);

#endif
