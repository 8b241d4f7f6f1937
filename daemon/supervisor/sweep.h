/* SPDX-License-Identifier: Apache-2.0 */
/* sweep: what the daemon looks after twice a second, since no event tells of it. */
#ifndef SUPERVISOR_SWEEP_H
#define SUPERVISOR_SWEEP_H

#include "daemon/supervisor/base/daemon.h"

/* Looks for clients that have gone while they were not read, for instances over max_rss, for memory that is short or idle. */
void sweep(struct daemon *daemon);

#endif
