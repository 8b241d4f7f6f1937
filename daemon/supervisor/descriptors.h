/* SPDX-License-Identifier: Apache-2.0 */
/*
 * descriptors: how many the process may have open, and how many of them clients may hold: connections, what they hand over, and
 * the files of large values (account.h counts). The rest is the daemon's own, so that workers can be started at any time.
 */
#ifndef SUPERVISOR_DESCRIPTORS_H
#define SUPERVISOR_DESCRIPTORS_H

#include "daemon/supervisor/daemon.h"

/* At the start: room for what the configuration allows for. */
void descriptors_raise(struct daemon *daemon);

/* Pools or slots have come or gone: what is left for clients. */
void descriptors_share(struct daemon *daemon);

#endif
