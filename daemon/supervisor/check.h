/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: `objpoold --check`, after it has read the configuration. It has a template process load the plugin of each pool, as
 * the daemon would, and says on standard error which pools can't start, and why. No daemon runs in this process.
 */
#ifndef SUPERVISOR_CHECK_H
#define SUPERVISOR_CHECK_H

#include "daemon/supervisor/config/config.h"

#define OBJPOOL_USER "objpool" /* as packaging/sysusers.conf makes it */

/* Root must load no plugin: it is any code. A process of root's becomes another user for good: the user `name`, or (NULL) the
 * service's user, or nobody if the system has no such user. 0, or -1 with `reason`. */
int check_leave_root(const char *name, char *reason, size_t reason_size);

/* Only root's processes can become the user of a cage, which they do before they load anything: root checks such pools before it
 * leaves root, and the rest after it. */
enum check_which { CHECK_ALL, CHECK_OF_OTHERS, CHECK_REST };

/* Checks these pools, one after the other; with `preload`, their classes preload. Returns how many can't start. */
uint32_t check_pools(const struct config *config, bool preload, enum check_which which);

/* Has a process load what `loading` says. It says on `to`, with `about` before each line, what is wrong, and what the process
 * prints. 0, or -1: something is wrong. */
struct loading;
int check_loading(const struct loading *loading, const char *program, const char *about, FILE *to);

/* Checks all that the plugin of this file has, and says on standard output what is wrong. A file of Python: the classes that it
 * defines. 0, or -1: something is wrong. `config` gets a section for it. */
int check_plugin(struct config *config, const char *file);

#endif
