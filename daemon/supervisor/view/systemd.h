/* SPDX-License-Identifier: Apache-2.0 */
/* systemd: what the daemon tells its service manager, and what it gets from it. All of it does nothing without one. */
#ifndef SUPERVISOR_SYSTEMD_H
#define SUPERVISOR_SYSTEMD_H

#include "daemon/supervisor/base/daemon.h"

void systemd_ready(const struct daemon *daemon);
void systemd_status(struct daemon *daemon);
void systemd_reloading(void);
void systemd_stopping(void);

/* Feeds the watchdog from the loop itself, if the unit has one. */
void systemd_start_watchdog(struct daemon *daemon);

/* Takes over the sockets that were passed. 0, or -1 with a sentence in `reason`. */
int systemd_adopt_sockets(struct daemon *daemon, char *reason, size_t reason_size);

#endif
