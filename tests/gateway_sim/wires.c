/* SPDX-License-Identifier: Apache-2.0 */
/* wires: what conduits and channels must hold: at any time, that no more is under way than there are windows for; when nothing is
 * under way, that no byte of credit is lost, and none is made. */
#include "tests/gateway_sim/world.h"

#include "gateway/core/channel.h"

static void check_window(const struct node *node, const struct conduit *conduit)
{
	const struct world *world = node->world;

	HOLDS(world, conduit->unacked_count <= CONDUIT_PACKETS, "%s has %u packets under way", node->name,
	      conduit->unacked_count);
	HOLDS(world, conduit->unacked_bytes < CONDUIT_WINDOW + GATEWAY_PACKET, "%s has %zu bytes under way", node->name,
	      conduit->unacked_bytes);
	HOLDS(world, conduit->early_count <= CONDUIT_PACKETS && conduit->early_bytes < CONDUIT_WINDOW + 2 * GATEWAY_PACKET,
	      "%s keeps %u packets, %zu bytes, that came before their turn", node->name, conduit->early_count,
	      conduit->early_bytes);
}

static uint64_t window_of(const struct channel *channel)
{
	return channel->widened ? CHANNEL_WINDOW : CHANNEL_FIRST;
}

static void check_channels(const struct node *node, const struct conduit *conduit)
{
	for (uint32_t i = 0; conduit->channels.mask && i <= conduit->channels.mask; i++) {
		const struct channel *channel = conduit->channels.entries[i].value;
		if (channel)
			HOLDS(node->world, channel->may_come <= window_of(channel),
			      "%s lets %llu bytes come on a channel, its window is %llu", node->name,
			      (unsigned long long)channel->may_come, (unsigned long long)window_of(channel));
	}
}

void wires_check(const struct node *node)
{
	const struct host *host;

	TAILQ_FOREACH(host, &node->gateway->hosts->list, entry)
		if (host->conduit) {
			check_window(node, host->conduit);
			check_channels(node, host->conduit);
		}
}

/* The other end of the conduit. NULL: there is none now. */
static const struct conduit *other_end(const struct node *node, const struct conduit *conduit)
{
	const struct world *world = node->world;
	const struct host *host;

	for (unsigned i = 0; i < world->node_count; i++) {
		const struct gateway *other = world->nodes[i].gateway;
		if (!other || other->incarnation != conduit->host->incarnation)
			continue;
		TAILQ_FOREACH(host, &other->hosts->list, entry)
			if (host->incarnation == node->gateway->incarnation && host->conduit &&
			    host->conduit->epoch == conduit->epoch)
				return host->conduit;
	}
	return NULL;
}

static const struct channel *same_channel(const struct conduit *conduit, const struct channel *channel)
{
	for (uint32_t i = 0; conduit->channels.mask && i <= conduit->channels.mask; i++) {
		const struct channel *other = conduit->channels.entries[i].value;
		if (other && other->id == channel->id && other->opened_here != channel->opened_here)
			return other;
	}
	return NULL;
}

static bool is_quiet(const struct conduit *conduit)
{
	return !conduit->unacked && TAILQ_EMPTY(&conduit->ready);
}

static void check_credit(const struct node *node, const struct channel *channel, const struct channel *other)
{
	HOLDS(node->world, channel->may_come + channel->taken == window_of(channel),
	      "%s has taken all of a channel, and lets %llu + %llu bytes come: its window is %llu", node->name,
	      (unsigned long long)channel->may_come, (unsigned long long)channel->taken, (unsigned long long)window_of(channel));
	HOLDS(node->world, other->may_send == channel->may_come, "%s lets %llu bytes come, and the other side may send %llu",
	      node->name, (unsigned long long)channel->may_come, (unsigned long long)other->may_send);
}

static void check_credits(const struct node *node, const struct conduit *conduit)
{
	const struct conduit *end = other_end(node, conduit);

	if (!end || !is_quiet(conduit) || !is_quiet(end))
		return;
	for (uint32_t i = 0; conduit->channels.mask && i <= conduit->channels.mask; i++) {
		const struct channel *channel = conduit->channels.entries[i].value;
		const struct channel *other = channel ? same_channel(end, channel) : NULL;
		if (other && !channel->over && !other->over)
			check_credit(node, channel, other);
	}
}

void wires_check_quiet(const struct node *node)
{
	const struct host *host;

	TAILQ_FOREACH(host, &node->gateway->hosts->list, entry)
		if (host->conduit)
			check_credits(node, host->conduit);
}
