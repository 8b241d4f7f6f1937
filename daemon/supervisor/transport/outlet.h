/* SPDX-License-Identifier: Apache-2.0 */
/* outlet: from a send queue to a non-blocking socket, as few system calls as that takes. */
#ifndef SUPERVISOR_OUTLET_H
#define SUPERVISOR_OUTLET_H

#include "proto/sendq.h"

/* Sends as much as goes. 0: all; 1: the rest waits for the socket; a negative errno: the connection is of no use. */
int outlet_flush(struct sendq *queue, int fd);

#endif
