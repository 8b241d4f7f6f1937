/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin_log: the log tells which requests were denied, and who has changed what, a line for each request:
 *
 *   session 7 (user ops by gid, process 4711, user 1001, group 100, "nightly"): objpool.scale sim 8: accepted
 */
#ifndef SUPERVISOR_ADMIN_LOG_H
#define SUPERVISOR_ADMIN_LOG_H

#include "daemon/supervisor/admin/admin.h"

/* `done` is what the request's method has returned. Nothing is said of what was denied: see below. */
void admin_log(const struct request *request, int done);

/* The core's ops->denied: the core, or the daemon itself, has answered a request with DENIED. */
void admin_log_denied(const struct client *client, const struct error *error);

#endif
