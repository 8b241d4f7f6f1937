/* SPDX-License-Identifier: Apache-2.0 */
/* host_pools: the shared pools of a host, with their load: of another host as its last beat told them, of this one as the
 * supervisor tells them. */
#ifndef GATEWAY_HOST_POOLS_H
#define GATEWAY_HOST_POOLS_H

#include "gateway/core/base.h"
#include "proto/read.h"

enum { HOST_POOLS_MAX = GATEWAY_SHARED_MAX };

struct host_pool {
	char *name, *class;
	uint32_t slots, ready;
	uint64_t queued, running, finished;
	uint64_t moved_at; /* when a task had ended since, or an instance had nothing to do */
	bool unpickle;
	bool open;         /* this host may call it: it takes no pickles, or trusts this host */
	struct span trust; /* a msgpack value: nil, "*", or an array of hosts */
	uint8_t *trust_kept;
};

struct host_pools {
	struct host_pool *list;
	uint32_t count;
};

/* Is the host among these: nil (nobody), "*", or an array of names? */
bool host_list_has(struct span list, const char *name);

/* May the host call the pool? One that takes pickles runs what it is sent: its `trust` must name the host. */
bool host_pool_is_for(const struct host_pool *pool, const char *host);

/* NULL: there is none of that name. */
struct host_pool *host_pools_find(const struct host_pools *pools, struct span name);

/* The host has said that it has no slot of this number: until it tells of the pool again, it has those before it. */
void host_pool_lacks(struct host_pool *pool, uint32_t slot);

/* Reads an array of pools, or nil: none are known. `now`: the time. *changed: there are others, or other numbers of slots. 0,
 * -EBADMSG or -ENOMEM; then the pools are what they were. */
int host_pools_read(struct host_pools *pools, struct reader *reader, const char *own_name, uint64_t now, bool *changed);

/* Appends them as an array; `brief`: as HOSTS has them, else as a beat. */
void host_pools_put(const struct host_pools *pools, struct sendq *to, bool brief);

void host_pools_free(struct host_pools *pools);

#endif
