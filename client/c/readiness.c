/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/readiness.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

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
	if (!channel->wire.rings)
		return;
	(void)control(client, EPOLL_CTL_DEL, channel->wire.rings->wakes_us, 0, NULL);
	client->channels.with_rings--;
}

/* ---- rings ---- */

/* The eventfd stands in the set as the set's own: no channel has this address. */
static struct channel *nudged(const struct objpool_client *client)
{
	return (struct channel *)(void *)(uintptr_t)&client->channels.nudge;
}

static int open_nudge(struct objpool_client *client)
{
	if (client->channels.nudge >= 0)
		return 0;
	client->channels.nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return client->channels.nudge < 0 ? -errno
					  : control(client, EPOLL_CTL_ADD, client->channels.nudge, EPOLLIN, nudged(client));
}

int readiness_add_rings(struct objpool_client *client, struct channel *channel)
{
	const int rc = open_nudge(client);

	client->channels.with_rings++; /* readiness_remove counts it, however far this comes */
	return rc < 0 ? rc : control(client, EPOLL_CTL_ADD, channel->wire.rings->wakes_us, EPOLLIN, channel);
}

/* Calls a function for each channel with rings. Did all say true? */
static bool for_rings(const struct objpool_client *client, bool (*function)(const struct channel *))
{
	bool all = true;

	if (client->channels.with_rings == 0)
		return true;
	for (const struct route *route = client->channels.routes; route; route = route->next)
		for (struct channel *channel = route->channels; channel; channel = channel->next)
			if (channel->wire.rings)
				all = function(channel) && all;
	return all;
}

/* False: there is something to read, or room for what is not sent. */
static bool fall_asleep(const struct channel *channel)
{
	const bool full = wire_unsent(&channel->wire) == 0 || rings_await_room(channel->wire.rings);

	return rings_fall_asleep(channel->wire.rings) && full;
}

bool readiness_fall_asleep(struct objpool_client *client)
{
	return for_rings(client, fall_asleep);
}

void readiness_nudge(const struct objpool_client *client)
{
	(void)eventfd_write(client->channels.nudge, 1); /* fails if it is readable already */
}

static bool wake(const struct channel *channel)
{
	rings_wake(channel->wire.rings, false);
	return true;
}

static bool is_due(const struct channels *channels, const struct channel *channel)
{
	return channel->wire.rings && channel->round < channels->round && channel->turn < channels->turn &&
	       rings_have(channel->wire.rings);
}

/* Adds the channels whose rings have something, and that have had no turn in this round, as many as there is room for. */
static int add_due(const struct channels *channels, struct ready ready[READINESS_MAX], int count)
{
	for (const struct route *route = channels->routes; route; route = route->next)
		for (struct channel *channel = route->channels; channel && count < READINESS_MAX; channel = channel->next)
			if (is_due(channels, channel)) {
				channel->round = channels->round;
				channel->turn = channels->turn;
				ready[count++].channel = channel;
			}
	return count;
}

/* Adds the channels whose rings have something. One that is there already, as its pipe is readable, may come again. */
static int add_readable_rings(struct channels *channels, struct ready ready[READINESS_MAX], int count)
{
	channels->turn++;
	count = add_due(channels, ready, count);
	if (count == READINESS_MAX)
		return count;
	channels->round++; /* all have had their turn: the next round begins with what had none just now */
	return add_due(channels, ready, count);
}

/* ---- waiting ---- */

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
				await_room(client, channel->wire.fd, channel,
					   wire_unsent(&channel->wire) > 0 && !channel->wire.rings, &channel->awaits_room);
}

/* Reads what makes the set readable but stands for no message. False: the channel is none. */
static bool note(const struct objpool_client *client, struct channel *channel)
{
	eventfd_t value;

	if (channel == nudged(client)) {
		(void)eventfd_read(client->channels.nudge, &value);
		return false;
	}
	if (channel && channel->wire.rings)
		rings_wake(channel->wire.rings, true);
	return true;
}

int readiness_wait(struct objpool_client *client, struct ready ready[READINESS_MAX], int timeout_ms)
{
	struct epoll_event events[READINESS_SOCKETS];
	int n, count = 0;

	do
		n = epoll_wait(client->channels.epoll, events, READINESS_SOCKETS, timeout_ms);
	while (n < 0 && errno == EINTR && timeout_ms != 0);
	for (int i = 0; i < n; i++)
		if (events[i].events & ~(uint32_t)EPOLLOUT && note(client, events[i].data.ptr))
			ready[count++].channel = events[i].data.ptr;
	if (n < 0 && errno != EINTR)
		return -errno;
	if (client->channels.with_rings == 0)
		return count;
	(void)for_rings(client, wake);
	return add_readable_rings(&client->channels, ready, count);
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
