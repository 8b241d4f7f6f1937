/* SPDX-License-Identifier: Apache-2.0 */
/* outlet: sends what a send queue holds by a transport, in as few system calls as possible. */
#ifndef SUPERVISOR_OUTLET_H
#define SUPERVISOR_OUTLET_H

#include "daemon/supervisor/transport/transport.h"
#include "proto/sendq.h"

/* Sends as much as the transport takes. 0: all; 1: the rest waits for the transport; a negative errno: the connection is of no
 * use. */
int outlet_flush(struct sendq *queue, struct transport *transport);

#endif
