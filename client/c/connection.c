/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/connection.h"

#include "client/c/failure.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONNECTION_BUFFERED = 256 << 10 }; /* with so many unsent bytes a request is sent at once, not in the next turn */

struct objpool_client *connection_new(int fd)
{
	struct objpool_client *client = calloc(1, sizeof *client);

	if (!client) {
		(void)close(fd);
		return NULL;
	}
	client->streams_end = &client->streams;
	client->channels.epoll = client->channels.nudge = -1;
	payload_pool_init(&client->sent.idle, NULL);
	wire_open(&client->wire, fd);
	return client;
}

static void free_channels(struct channels *channels)
{
	for (struct route *route = channels->routes, *next; route; route = next) {
		next = route->next;
		route_free(route);
	}
	if (channels->epoll >= 0)
		(void)close(channels->epoll);
	if (channels->nudge >= 0)
		(void)close(channels->nudge);
}

void connection_free(struct objpool_client *client)
{
	free_channels(&client->channels);
	wire_close(&client->wire);
	sent_payloads_free(&client->sent);
	received_payloads_free(&client->received);
	pending_free(&client->pending);
	objpool_result_free(&client->hello);
	(void)failure_unref(client->close_error);
	free(client);
}

/* ---- packing --------------------------------------------------------------------------------------------------------- */

/* If there is no memory to say it, the payloads are not given back: the daemon then sends values as bytes. */
static void give_back(struct objpool_client *client)
{
	struct objpool_packer *output = &client->wire.output;
	const size_t size = output->size;

	if (!client->received.held)
		return;
	received_payloads_give_back(&client->received, output);
	output->size = output->error ? size : output->size;
	output->error = 0;
}

int connection_begin(struct objpool_client *client, size_t *mark)
{
	if (client->lost || client->closing)
		return -ENOTCONN;
	give_back(client);
	*mark = client->wire.output.size;
	return 0;
}

int connection_commit(struct objpool_client *client, size_t mark)
{
	struct objpool_packer *output = &client->wire.output;

	if (output->error) {
		const int rc = output->error;
		output->error = 0;
		output->size = mark;
		wire_detach(&client->wire, mark);
		if (client->wire.lent_at > mark) /* the lent bytes are this message's */
			client->wire.lent = (struct objpool_bytes){NULL, 0};
		return rc;
	}
	if (wire_unsent(&client->wire) >= CONNECTION_BUFFERED)
		(void)objpool_flush(client);
	return 0;
}

void connection_pack_values(struct objpool_client *client, size_t mark, struct objpool_bytes values)
{
	struct sent_payloads *sent = &client->sent;

	if (sent_payloads_may_have_lookalike(sent, values) && sent_payloads_find(sent, values) & SENT_LOOKALIKE)
		sent_payloads_pack(sent, &client->wire, mark, values, NULL);
	else
		objpool_pack_raw(&client->wire.output, values);
}

void connection_keep_lent(struct objpool_client *client)
{
	if (client->wire.lent.size == 0)
		return;
	wire_keep_lent(&client->wire);
	if (client->wire.output.error && !client->lost)
		client->lost = client->wire.output.error; /* a part of the message has been sent */
}

/* ---- sending --------------------------------------------------------------------------------------------------------- */

static int flush_channels(const struct channels *channels)
{
	int rest = 0;

	for (const struct route *route = channels->routes; route; route = route->next)
		for (struct channel *channel = route->channels; channel; channel = channel->next)
			rest |= channel_flush(channel);
	return rest;
}

int objpool_flush(struct objpool_client *client)
{
	if (client->lost)
		return -ENOTCONN;
	give_back(client);
	const int rc = wire_flush(&client->wire);
	if (rc < 0) {
		client->lost = rc; /* the next turn tells the calls */
		client->send_failed = true;
		return -ENOTCONN;
	}
	return rc | flush_channels(&client->channels);
}

/* ---- what a program may ask ------------------------------------------------------------------------------------------ */

size_t objpool_in_flight(const struct objpool_client *client)
{
	return client->pending.count - client->channels.own_calls;
}

size_t objpool_unsent(const struct objpool_client *client)
{
	size_t unsent = wire_unsent(&client->wire);

	for (const struct route *route = client->channels.routes; route; route = route->next)
		for (const struct channel *channel = route->channels; channel; channel = channel->next)
			unsent += wire_unsent(&channel->wire);
	return unsent;
}

struct objpool_bytes objpool_hello(const struct objpool_client *client)
{
	return client->hello.value;
}

void objpool_on_notification(struct objpool_client *client, objpool_notification *callback, void *context)
{
	client->on_notification = callback;
	client->notification_context = context;
}
