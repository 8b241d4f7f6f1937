/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/allowance.h"

/* Of something of which there is `all`, `used` is in use: may one have more who has `has`? */
static bool is_left(uint64_t all, uint64_t used, uint64_t has)
{
	return used < all && has < all - used;
}

bool allowance_has_session(const struct host *host)
{
	const struct gateway *gateway = host->hosts->gateway;

	return is_left(gateway->max_sessions, gateway->served, host->sessions);
}

bool allowance_has_memory(const struct host *host)
{
	const struct gateway *gateway = host->hosts->gateway;

	return is_left(gateway->memory.limit / 2, gateway->others.used, host->memory->used);
}

bool allowance_has_window(const struct host *host, uint64_t bytes)
{
	const struct gateway *gateway = host->hosts->gateway;

	return is_left(gateway->memory.limit / 4, gateway->others_promised + bytes, host->promised);
}

bool allowance_is_used_up(const struct gateway *gateway)
{
	return account_is_over(&gateway->memory) && allowance_own_memory(gateway) >= gateway->memory.limit / 2;
}
