/* SPDX-License-Identifier: Apache-2.0 */
/* config_pool: the sections of pools: one is added, by a file or by a client; what others ask of one. See config.h, too. */
#ifndef SUPERVISOR_CONFIG_POOL_H
#define SUPERVISOR_CONFIG_POOL_H

#include <stdbool.h>

struct config;

/* Can a pool have that name? */
bool config_is_pool_name(const char *name);

/* Adds a pool with nothing but its presets. 0, or -1 with config->reason. */
int config_add_named_pool(struct config *config, const char *name, const char *place);

/* The one that was added last. */
void *config_last_pool(struct config *config);

#endif
