/* SPDX-License-Identifier: Apache-2.0 */
/*
 * descriptors: how many descriptors the process may have open, and how many of them clients may hold: connections, files that
 * they hand over, and files of large values (proto/account.h counts). The daemon keeps the rest, so that it can start workers
 * at any time.
 */
#ifndef SUPERVISOR_DESCRIPTORS_H
#define SUPERVISOR_DESCRIPTORS_H

#include "daemon/supervisor/base/daemon.h"

/* At the start: raises RLIMIT_NOFILE for max_connections, the configured pools, and some that clients may make. */
void descriptors_raise(struct daemon *daemon);

/* Pools or slots have come or gone: sets how many descriptors are left for clients. The log says so when they are too few for the
 * workers. */
void descriptors_share(struct daemon *daemon);

#endif
