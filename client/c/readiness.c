/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/readiness.h"

#include <errno.h>
#include <sys/epoll.h>

static int control(const struct objpool_client *client, int operation, int fd, uint32_t events, struct channel *channel)
{
	struct epoll_event event = {.events = events, .data.ptr = channel};

	return epoll_ctl(client->channels.epoll, operation, fd, &event) < 0 ? -errno : 0;
}

int readiness_open(struct objpool_client *client)
{
	client->channels.epoll = epoll_create1(EPOLL_CLOEXEC);
	return client->channels.epoll < 0 ? -errno : control(client, EPOLL_CTL_ADD, client->wire.fd, EPOLLIN, NULL);
}

int readiness_add(struct objpool_client *client, struct channel *channel)
{
	return control(client, EPOLL_CTL_ADD, channel->wire.fd, EPOLLIN, channel);
}

void readiness_remove(struct objpool_client *client, const struct channel *channel)
{
	(void)control(client, EPOLL_CTL_DEL, channel->wire.fd, 0, NULL); /* fails only if it is not in the set */
}

/* Without memory for the change, output waits for the next turn. */
static void await_room(const struct objpool_client *client, int fd, struct channel *channel, bool wanted, bool *awaited)
{
	if (wanted != *awaited && control(client, EPOLL_CTL_MOD, fd, EPOLLIN | (wanted ? EPOLLOUT : 0), channel) == 0)
		*awaited = wanted;
}

void readiness_await_room(struct objpool_client *client)
{
	const bool due = wire_unsent(&client->wire) > 0 || received_payloads_are_due(&client->received);

	await_room(client, client->wire.fd, NULL, due, &client->channels.awaits_room);
	for (struct route *route = client->channels.routes; route; route = route->next)
		for (struct channel *channel = route->channels; channel; channel = channel->next)
			if (channel->state != CHANNEL_ENDED)
				await_room(client, channel->wire.fd, channel, wire_unsent(&channel->wire) > 0,
					   &channel->awaits_room);
}

int readiness_wait(const struct objpool_client *client, struct ready ready[READINESS_MAX], int timeout_ms)
{
	struct epoll_event events[READINESS_MAX];
	int n, count = 0;

	do
		n = epoll_wait(client->channels.epoll, events, READINESS_MAX, timeout_ms);
	while (n < 0 && errno == EINTR && timeout_ms != 0);
	for (int i = 0; i < n; i++)
		if (events[i].events & ~(uint32_t)EPOLLOUT)
			ready[count++].channel = events[i].data.ptr;
	return n < 0 && errno != EINTR ? -errno : count;
}

struct channel *readiness_only(const struct objpool_client *client)
{
	struct channel *only = NULL;

	if (objpool_unsent(client) > 0)
		return NULL;
	for (const struct route *route = client->channels.routes; route; route = route->next)
		for (struct channel *channel = route->channels; channel; channel = channel->next) {
			if (only || channel->state == CHANNEL_ENDED || channel->in_flight != client->pending.count)
				return NULL;
			only = channel;
		}
	return only;
}
