/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service: the daemon's own methods, `objpool.x`. Most are answered at once; those that wait for workers are pending
 * (pending_admin.h), a lease waits for its slot (core/lease.h).
 */
#ifndef SUPERVISOR_SERVICE_H
#define SUPERVISOR_SERVICE_H

#include "daemon/supervisor/connections/session.h"

/* A request or notification for objpool.x. 0, or -EEXIST: the msgid is in use. */
int service_request(struct session *session, struct rpc *rpc);

#endif
