/* SPDX-License-Identifier: Apache-2.0 */
/* config_users: the sections of roles and users: one is added; what must be right among all of them. */
#ifndef SUPERVISOR_CONFIG_USERS_H
#define SUPERVISOR_CONFIG_USERS_H

#include "daemon/supervisor/config/config.h"

/* Adds a section with nothing in it. 0, or -1 with config->reason. And the one that was added last. */
int config_add_role(struct config *config, const char *name, const char *place);
int config_add_user(struct config *config, const char *name, const char *place);
void *config_last_role(struct config *config);
void *config_last_user(struct config *config);

/* NULL: there is none of that name. */
const struct config_role *config_find_role(const struct config *config, const char *name);
const struct config_user *config_find_user(const struct config *config, const char *name);

/* Checks the sections of users with each other, and with those of the daemon and the pools. 0, or -1 with config->reason. */
int config_check_users(struct config *config);

#endif
