/* SPDX-License-Identifier: Apache-2.0 */
/* bus: carries messages between gateways: loses, doubles, delays and reorders some, parts hosts, and tells who has left it. */
#include "tests/gateway_sim/world.h"

#include <stdlib.h>

struct flight {
	struct timer timer;
	struct node *to;
	enum { BEAT, PACKET, LEFT } kind;
	char from[8];
	size_t size;
	uint8_t bytes[];
};

static void give_beat(struct held *held, struct node *node)
{
	gateway_on_beat(node->gateway, (struct span){.bytes = (const uint8_t *)held->from, .size = strlen(held->from)},
			(struct span){.bytes = held->bytes, .size = held->size});
}

static void give_packet(struct held *held, struct node *node)
{
	gateway_on_packet(node->gateway, (struct span){.bytes = (const uint8_t *)held->from, .size = strlen(held->from)},
			  (struct span){.bytes = held->bytes, .size = held->size});
}

static void give_left(struct held *held, struct node *node)
{
	gateway_on_disconnect(node->gateway, (struct span){.bytes = (const uint8_t *)held->from, .size = strlen(held->from)});
}

static void arrive(struct timer *timer)
{
	static void (*const give[])(struct held *held, struct node *node) = {give_beat, give_packet, give_left};
	struct flight *flight = container_of(timer, struct flight, timer);
	struct node *node = flight->to;

	if (node->gateway && node->bus_up)
		node_event(node, give[flight->kind], NULL, 0, flight->from, flight->bytes, flight->size);
	timer_close(&node->world->timers, &flight->timer);
	free(flight);
}

static void send_one(struct node *from, struct node *to, int kind, const void *bytes, size_t size)
{
	struct world *world = from->world;
	struct flight *flight = malloc(sizeof *flight + size);
	uint64_t takes = 20000 + world_dice(world, 200000); /* 20 to 220 microseconds */

	if (world_dice(world, 1000) < world->delays)
		takes += world_dice(world, 400) * MILLISECOND;
	*flight = (struct flight){.to = to, .kind = kind, .size = size};
	memcpy(flight->from, from->name, sizeof flight->from);
	if (size > 0)
		memcpy(flight->bytes, bytes, size);
	if (size > 0 && world_dice(world, 1000) < world->loss) { /* its connection broke, and what came next is its end: sum.h */
		const size_t whole = world_dice(world, (uint32_t)size);
		memset(flight->bytes + whole, 'P', size - whole);
	}
	if (timer_open(&world->timers, &flight->timer, arrive) < 0)
		abort();
	timer_set(&world->timers, &flight->timer, world->now + takes);
}

void bus_publish(struct node *from, const char *to, const void *bytes, size_t size)
{
	struct world *world = from->world;

	HOLDS(world, size <= from->gateway->packet_max, "a packet of %zu bytes is larger than the bus takes", size);
	if (!from->bus_up)
		return;
	for (unsigned i = 0; i < world->node_count; i++) {
		struct node *node = &world->nodes[i];
		if ((to ? strcmp(node->name, to) != 0 : node == from) || world->cut[from->number][i])
			continue;
		if (world_dice(world, 1000) < world->loss)
			continue;
		send_one(from, node, to ? PACKET : BEAT, bytes, size);
		if (world_dice(world, 1000) < world->doubles)
			send_one(from, node, to ? PACKET : BEAT, bytes, size);
	}
}

void bus_tell_left(struct node *left)
{
	struct world *world = left->world;

	for (unsigned i = 0; world->flavour.tells && i < world->node_count; i++)
		if (world_dice(world, 1000) >= world->loss)
			send_one(left, &world->nodes[i], LEFT, NULL, 0);
}

void node_event(struct node *node, void (*give)(struct held *held, struct node *node), void *what, uint64_t number,
		const char *from, const void *bytes, size_t size)
{
	struct held *held = malloc(sizeof *held + size);

	*held = (struct held){.give = give, .what = what, .number = number, .size = size};
	if (from)
		memcpy(held->from, from, sizeof held->from);
	if (size)
		memcpy(held->bytes, bytes, size);
	if (node->frozen_until || node->held) {
		*node->held_end = held;
		node->held_end = &held->next;
		return;
	}
	node->touched = true;
	node->gateway->now = node->world->now;
	give(held, node);
	free(held);
}

void node_drop_held(struct node *node)
{
	while (node->held) {
		struct held *held = node->held;
		node->held = held->next;
		free(held);
	}
	node->held_end = &node->held;
}
