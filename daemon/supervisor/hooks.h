/* SPDX-License-Identifier: Apache-2.0 */
/* hooks: the two tables by which lower floors call higher ones: the core calls the supervisor, and the supervisor's lower files
 * call its upper ones. */
#ifndef SUPERVISOR_HOOKS_H
#define SUPERVISOR_HOOKS_H

#include "daemon/supervisor/base/daemon.h"

extern const struct core_ops hooks_core;
extern const struct daemon_ops hooks_daemon;

#endif
