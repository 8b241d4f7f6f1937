/* SPDX-License-Identifier: Apache-2.0 */
/* config_cage: the keys of a pool's section that confine its processes. */
#ifndef SUPERVISOR_CONFIG_CAGE_H
#define SUPERVISOR_CONFIG_CAGE_H

#include "daemon/supervisor/config/config.h"

void config_cage_init(struct config_cage *cage);

/* 0, or -1 with config->reason. */
int config_cage_check(struct config *config, const struct config_pool *pool);

bool config_cage_same(const struct config_pool *a, const struct config_pool *b);

/* A key of the cage that the section has given; NULL: none. */
const char *config_cage_key(const struct config_pool *pool);

/* The name, if it is that of a key of the cage; else NULL. */
const char *config_cage_find(struct span name);

/* The key that has an item for each slot, but not for so many; NULL: the pool may have that size. */
const char *config_cage_too_short(const struct config_pool *pool, uint32_t size);

/* Packs the keys that were given, for the template, as a map; and the cgroup that it is to enter, if that isn't NULL. */
void config_cage_pack(const struct config_pool *pool, const char *plugin_path, const char *cgroup, msgpack_packer *packer);

#endif
