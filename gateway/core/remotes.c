/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/remotes.h"

#include "gateway/core/host_pools.h"

#include <errno.h>
#include <stdlib.h>

void remotes_close(struct gateway *gateway)
{
	struct clients *clients = gateway->clients;

	for (uint32_t i = 0; i < clients->remote_count; i++) {
		free(clients->remotes[i].pool);
		free(clients->remotes[i].kept);
	}
	free(clients->remotes);
	clients->remotes = NULL;
	clients->remote_count = 0;
}

static int read_remote(struct reader *reader, struct remote *remote)
{
	struct span pool, key, value, prefer = {0};
	uint32_t count;

	*remote = (struct remote){0};
	if (read_text(reader, &pool) < 0 || read_map(reader, &count) < 0)
		return -EBADMSG;
	for (; count > 0; count--) {
		if (read_text(reader, &key) < 0 || read_value(reader, &value) < 0)
			return -EBADMSG;
		struct reader inside = reader_of(value);
		if (span_is(key, "hosts"))
			remote->hosts = value;
		else if (span_is(key, "prefer") && read_nil(&inside) < 0 && read_text(&inside, &prefer) < 0)
			return -EBADMSG;
	}
	remote->prefer_load = span_is(prefer, "load");
	remote->pool = strndup((const char *)pool.bytes, pool.size);
	remote->kept = malloc(remote->hosts.size + 1);
	if (!remote->pool || !remote->kept) {
		free(remote->pool);
		free(remote->kept);
		return -ENOMEM;
	}
	if (remote->hosts.size)
		memcpy(remote->kept, remote->hosts.bytes, remote->hosts.size);
	remote->hosts.bytes = remote->kept;
	return 0;
}

int remotes_set(struct gateway *gateway, struct span map)
{
	struct clients *clients = gateway->clients;
	struct reader reader = reader_of(map);
	uint32_t count;
	int r = 0;

	remotes_close(gateway);
	if (read_map(&reader, &count) < 0)
		return -EBADMSG;
	for (; count > 0 && r == 0; count--) {
		struct remote *remotes = realloc(clients->remotes, (clients->remote_count + 1) * sizeof *remotes);
		if (!remotes)
			return -ENOMEM;
		clients->remotes = remotes;
		r = read_remote(&reader, &remotes[clients->remote_count]);
		clients->remote_count += r == 0;
	}
	return r;
}

const struct remote *remotes_find(const struct gateway *gateway, struct span pool)
{
	for (uint32_t i = 0; i < gateway->clients->remote_count; i++)
		if (span_is(pool, gateway->clients->remotes[i].pool))
			return &gateway->clients->remotes[i];
	return NULL;
}

bool remote_names(const struct remote *remote, const char *host)
{
	return host_list_has(remote->hosts, host);
}
