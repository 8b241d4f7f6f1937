/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/gateway.h"

#include <stdlib.h>

struct gateway *gateway_new(const struct gateway_ops *ops, void *owner, uint64_t now, uint64_t seed)
{
	struct gateway *gateway = calloc(1, sizeof *gateway);

	if (!gateway)
		return NULL;
	gateway->ops = ops;
	gateway->owner = owner;
	gateway->now = gateway->started = now;
	gateway->random = seed;
	gateway->packet_max = GATEWAY_PACKET;
	while (gateway->incarnation == 0)
		gateway->incarnation = gateway_random(gateway);
	return gateway;
}

struct gateway *gateway_free(struct gateway *gateway)
{
	if (!gateway)
		return NULL;
	sendq_clear(&gateway->to_supervisor);
	timers_free(&gateway->timers);
	free(gateway);
	return NULL;
}

int gateway_on_supervisor(struct gateway *gateway, struct span message, struct block *block)
{
	(void)gateway, (void)message, (void)block;
	return 0;
}

bool gateway_reads_supervisor(const struct gateway *gateway)
{
	return !account_is_over(&gateway->memory);
}

void gateway_on_bus_up(struct gateway *gateway, size_t max_payload, const char *text)
{
	gateway->packet_max = max_payload < GATEWAY_PACKET ? max_payload : GATEWAY_PACKET;
	gateway_log(gateway, "info", "connected to %s", text);
}

void gateway_on_bus_down(struct gateway *gateway, const char *text)
{
	gateway_log(gateway, "warning", "the bus is not there: %s", text);
}

void gateway_on_beat(struct gateway *gateway, struct span from, struct span bytes)
{
	(void)gateway, (void)from, (void)bytes;
}

void gateway_on_packet(struct gateway *gateway, struct span from, struct span bytes)
{
	(void)gateway, (void)from, (void)bytes;
}

void gateway_on_local_bytes(struct local *local, struct span bytes)
{
	(void)local, (void)bytes;
}

void gateway_on_local_sent(struct local *local)
{
	(void)local;
}

void gateway_on_local_gone(struct local *local)
{
	(void)local;
}

uint64_t gateway_next(const struct gateway *gateway)
{
	return timers_next(&gateway->timers);
}

void gateway_run(struct gateway *gateway)
{
	timers_run(&gateway->timers, gateway->now, UINT32_MAX);
}

void gateway_end_turn(struct gateway *gateway)
{
	(void)gateway;
}

bool gateway_is_drained(const struct gateway *gateway)
{
	return gateway->state == GATEWAY_DRAINING && gateway->to_supervisor.bytes == 0;
}

bool gateway_is_quiet(const struct gateway *gateway)
{
	(void)gateway;
	return true;
}
