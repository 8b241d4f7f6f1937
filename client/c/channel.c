/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct channel *channel_new(struct route *route, int fd, bool rings)
{
	struct channel *channel = calloc(1, sizeof *channel);

	if (!channel) {
		(void)close(fd);
		return NULL;
	}
	channel->route = route;
	channel->state = rings ? CHANNEL_OPENING : CHANNEL_OPEN;
	wire_open(&channel->wire, fd);
	channel->wire.takes_descriptors = channel->wire.arrivals.takes_ends = rings;
	return channel;
}

/* The descriptors of the message that is being read. */
static int take_files(struct wire *wire, int files[RINGS_FILES])
{
	for (int i = 0; i < RINGS_FILES; i++) {
		files[i] = arrivals_take(&wire->arrivals);
		if (files[i] < 0) {
			while (--i >= 0)
				(void)close(files[i]);
			return -EBADMSG;
		}
	}
	return 0;
}

static int open_rings(struct wire *wire)
{
	int files[RINGS_FILES];

	if (wire->begin != wire->end || take_files(wire, files) < 0)
		return -EBADMSG;
	struct rings *rings = malloc(sizeof *rings);
	if (!rings) {
		for (int i = 0; i < RINGS_FILES; i++)
			(void)close(files[i]);
		return -ENOMEM;
	}
	const int rc = rings_open(rings, files);
	if (rc < 0) {
		free(rings);
		return rc;
	}
	wire->rings = rings;
	return 0;
}

int channel_on_rings(struct channel *channel, struct objpool_bytes params)
{
	struct objpool_reader reader = objpool_reader(params);
	struct wire *wire = &channel->wire;
	uint32_t count;
	uint64_t bytes;

	if (channel->state == CHANNEL_CLOSING)
		return 0; /* it was given up before the worker has offered them */
	if (channel->state != CHANNEL_OPENING || objpool_read_array(&reader, &count) < 0 || count == 0)
		return -EBADMSG;
	wire->takes_descriptors = false;
	channel->state = CHANNEL_OPEN;
	if (objpool_read_nil(&reader) == 0)
		return 0;
	if (objpool_read_uint(&reader, &bytes) < 0 || bytes != RINGS_BYTES)
		return -EBADMSG;
	return open_rings(wire);
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

bool route_is_opening(const struct route *route)
{
	for (const struct channel *channel = route->channels; channel; channel = channel->next)
		if (channel->state == CHANNEL_OPENING)
			return true;
	return false;
}

struct channel *route_channel_to(const struct route *route, int64_t slot)
{
	for (struct channel *channel = route->channels; channel; channel = channel->next)
		if (channel->state <= CHANNEL_OPEN && channel->slot == slot)
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
