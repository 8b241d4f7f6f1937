/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/records/remote.h"

#include <errno.h>

static bool is_self(const struct remote *remote, struct span host)
{
	return host.size == remote->self.size && memcmp(host.bytes, remote->self.bytes, host.size) == 0;
}

int remote_is_for_others(const struct core *core, const struct target *target, const struct pool *pool, struct error *error)
{
	const struct remote *remote = core->remote;

	if (target->host.size == 0)
		return remote && remote->takes(remote, target, pool);
	if (remote)
		return !is_self(remote, target->host);
	error_say(error, ERROR_UNREACHABLE, RAN_NO,
		  "this daemon is in no cluster: a target with @ needs [cluster] in its configuration, see objpoold.conf(5)");
	return -EHOSTUNREACH;
}

int remote_check_client(const struct client *client, const struct target *target, struct error *error)
{
	const struct rights *rights = client->rights;
	char room[ERROR_SHOWN];

	if (!rights || !rights->host || client->internal)
		return 0;
	error_say(error, ERROR_DENIED, RAN_NO, "host %s may ask this one for its own pools only: %s is for another host", rights->host,
		  error_shown(target->pool, room));
	return -EACCES;
}
