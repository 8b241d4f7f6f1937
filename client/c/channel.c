/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/channel.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct channel *channel_new(struct route *route, int fd)
{
	struct channel *channel = calloc(1, sizeof *channel);

	if (!channel) {
		(void)close(fd);
		return NULL;
	}
	channel->route = route;
	wire_open(&channel->wire, fd);
	return channel;
}

struct channel *channel_free(struct channel *channel)
{
	wire_close(&channel->wire);
	free(channel);
	return NULL;
}

/* The worker reads no more. What it has not got has not run: channel_end.h sends it again. */
static void drop_output(struct channel *channel)
{
	channel->wire.output.size = channel->wire.sent;
	channel->state = CHANNEL_CLOSING;
	channel->shut = true;
}

int channel_flush(struct channel *channel)
{
	if (channel->state == CHANNEL_ENDED)
		return 0;
	const int rc = wire_unsent(&channel->wire) > 0 ? wire_flush(&channel->wire) : 0;
	if (rc < 0)
		drop_output(channel);
	if (rc == 0 && channel->state == CHANNEL_CLOSING && !channel->shut) {
		(void)shutdown(channel->wire.fd, SHUT_WR); /* fails only if the worker has closed the channel */
		channel->shut = true;
	}
	return rc > 0;
}

struct channel *route_idlest(const struct route *route)
{
	struct channel *best = NULL;

	for (struct channel *channel = route->channels; channel; channel = channel->next)
		if (channel->state == CHANNEL_OPEN && (!best || channel->in_flight < best->in_flight))
			best = channel;
	return best;
}

struct channel *route_channel_to(const struct route *route, int64_t slot)
{
	for (struct channel *channel = route->channels; channel; channel = channel->next)
		if (channel->state == CHANNEL_OPEN && channel->slot == slot)
			return channel;
	return NULL;
}

struct route *route_new(const char *target, size_t size, size_t pool_size, int64_t slot)
{
	struct route *route = calloc(1, sizeof *route + size + 1);

	if (!route)
		return NULL;
	route->slot = slot;
	route->size = size;
	route->pool_size = pool_size;
	memcpy(route->target, target, size);
	return route;
}

void route_free(struct route *route)
{
	for (struct channel *channel = route->channels, *next; channel; channel = next) {
		next = channel->next;
		(void)channel_free(channel);
	}
	free(route);
}
