/* SPDX-License-Identifier: Apache-2.0 */
/* remote_pools: pools of other hosts alone that have a plain name here: of a section [remote NAME] without a [pool NAME]. */
#ifndef SUPERVISOR_REMOTE_POOLS_H
#define SUPERVISOR_REMOTE_POOLS_H

#include "daemon/supervisor/base/daemon.h"

#include <msgpack.h>

/* How many there are that the rights (NULL: all) allow to be described; and what objpool.pools and objpool.hello say of each. */
uint32_t remote_pools_count(const struct daemon *daemon, const struct rights *rights);
void remote_pools_pack(const struct daemon *daemon, const struct rights *rights, msgpack_packer *packer);
void remote_pools_pack_names(const struct daemon *daemon, const struct rights *rights, msgpack_packer *packer);

#endif
