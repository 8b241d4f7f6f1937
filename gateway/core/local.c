/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/local.h"

#include <stdlib.h>

struct local *local_open(struct gateway *gateway, const char *host, const char *user, uint64_t sid, const struct local_ops *ops,
			 void *user_side)
{
	struct local *local = calloc(1, sizeof *local);

	if (!local)
		return NULL;
	local->gateway = gateway;
	local->number = ++gateway->last_number;
	local->sid = sid;
	local->reads = true;
	local->out.account = &gateway->memory;
	local->ops = ops;
	local->user_side = user_side;
	local->user = strdup(user);
	local->host = host ? strdup(host) : NULL;
	if (!local->user || (host && !local->host) || gateway->ops->local_open(local) < 0)
		return local_free(local);
	return local;
}

void local_wrote(struct local *local, size_t bytes_before)
{
	if (bytes_before == 0 && local->out.bytes > 0)
		local->gateway->ops->local_wrote(local);
}

void local_read(struct local *local, bool reads)
{
	if (local->reads == reads)
		return;
	local->reads = reads;
	local->gateway->ops->local_reads(local);
}

void local_close(struct local *local)
{
	local->ops = NULL;
	local->user_side = NULL;
	local->gateway->ops->local_close(local);
}
