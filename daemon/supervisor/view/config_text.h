/* SPDX-License-Identifier: Apache-2.0 */
/* config_text: what objpool.config tells: the configuration that is in force, as a file would say it. */
#ifndef SUPERVISOR_CONFIG_TEXT_H
#define SUPERVISOR_CONFIG_TEXT_H

#include "daemon/supervisor/base/daemon.h"

/* The addresses that are listened on, the daemon's settings, users without their tokens, and all pools, with the sizes that
 * objpool.scale has set. To be freed. NULL: out of memory. */
char *config_text(const struct daemon *daemon, size_t *size);

#endif
