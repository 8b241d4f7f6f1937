/* SPDX-License-Identifier: Apache-2.0 */
/* config_cluster: the sections [cluster] and [remote NAME], and the keys of pools that concern other hosts. */
#ifndef SUPERVISOR_CONFIG_CLUSTER_H
#define SUPERVISOR_CONFIG_CLUSTER_H

struct config;
struct config_pool;

/* Says what is allowed, and has no effect: one sentence each. */
void config_warn_of_cluster(const struct config *config, void (*say)(const char *text));

/* Adds a section [remote NAME], and gives the last one. 0, or -1 with config->reason. */
int config_add_remote(struct config *config, const char *name, const char *place);
void *config_last_remote(struct config *config);

/* Checks these sections, and settles the name of this host. 0, or -1 with config->reason. */
int config_check_cluster(struct config *config);

/* Checks what a pool says of other hosts. 0, or -1 with config->reason. */
int config_check_share(struct config *config, const struct config_pool *pool);

#endif
