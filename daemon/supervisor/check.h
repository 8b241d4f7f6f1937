/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: what `objpoold --check` does beyond reading the files: has each pool's plugin loaded by a template process, as the
 * daemon would, and says on standard error which pools can't start, and why. No daemon runs in this process.
 */
#ifndef SUPERVISOR_CHECK_H
#define SUPERVISOR_CHECK_H

#include "daemon/supervisor/config/config.h"

#define OBJPOOL_USER "objpool" /* as packaging/sysusers.conf makes it */

/* Plugins are any code: root loads none. Where this process is root's, it becomes the user for good: `name`, or (NULL) the
 * service's, or nobody where the system has no such user. 0, or -1 with `reason`. */
int check_leave_root(const char *name, char *reason, size_t reason_size);

/* Checks all pools, one after the other; with `preload`, their classes preload. Returns how many can't start. */
uint32_t check_pools(const struct config *config, bool preload);

#endif
