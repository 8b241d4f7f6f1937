/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/route.h"

#include "gateway/core/remotes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- candidates ---- */

bool route_is_of_hosts(const struct ask *ask)
{
	return ask->target.host.size == 0 || target_is_of_hosts(&ask->target);
}

/* May anything be sent there? */
static bool can_be_asked(const struct gateway *gateway, const struct host *host)
{
	return host->self || (host->state == HOST_READY && gateway->state == GATEWAY_SERVING);
}

bool route_has(const struct gateway *gateway, const struct ask *ask, const struct host *host)
{
	const struct host_pool *pool = host_pool(host, ask->target.pool);

	if (!pool || (!pool->open && !host->self) || !can_be_asked(gateway, host))
		return false;
	if (ask->target.host.size > 0)
		return target_is_of_hosts(&ask->target) || span_is(ask->target.host, host->name);
	const struct remote *remote = remotes_find(gateway, ask->target.pool);
	return host->self || !remote || remote_names(remote, host->name);
}

static bool is_shared(const struct gateway *gateway, const struct ask *ask)
{
	const struct host *host;

	TAILQ_FOREACH(host, &gateway->hosts->list, entry)
		if (route_has(gateway, ask, host))
			return true;
	return false;
}

void route_say_none(const struct gateway *gateway, const struct ask *ask, struct error *error)
{
	const char *why = gateway->state == GATEWAY_REFUSED     ? "another host has this host's name"
			  : !gateway->bus_is_up                 ? "this host is not connected with the bus"
			  : gateway->state == GATEWAY_LISTENING ? "this host has just come"
			  : is_shared(gateway, ask)             ? "none of those that share it has an instance that is ready"
								: "none that is there shares it";

	error_say(error, ERROR_UNREACHABLE, RAN_NO, "no host can be asked for pool %.*s: %s", SPAN_TEXT(ask->target.pool, 64),
		  why);
}

/* A host that the target names. */
static struct host *named(struct gateway *gateway, const struct ask *ask, struct error *error)
{
	struct host *host = hosts_find(gateway->hosts, ask->target.host);

	if (host && can_be_asked(gateway, host) && (host->self || gateway->bus_is_up))
		return host;
	const char *why = gateway->state == GATEWAY_REFUSED ? "can't be asked: another host has this host's name"
			  : !gateway->bus_is_up             ? "can't be asked: this host is not connected with the bus"
			  : !host                           ? "is not known in this domain"
			  : host->state == HOST_GONE        ? "is gone"
			  : host->state == HOST_SILENT      ? "is silent"
							    : "can't be asked: this host has just come";
	error_say(error, ERROR_UNREACHABLE, RAN_NO, "host %.*s %s", SPAN_TEXT(ask->target.host, GATEWAY_NAME_MAX), why);
	(void)snprintf(gateway->unknown, sizeof gateway->unknown, "%.*s", SPAN_TEXT(ask->target.host, GATEWAY_NAME_MAX));
	error->host = host ? host->name : gateway->unknown;
	return NULL;
}

void route_learn(struct host *host, uint64_t took)
{
	host->took = host->took ? host->took - host->took / 8 + took / 8 : took;
	host->took += host->took == 0;
}

/* What hosts told in their last beats says little where calls are much shorter than the time between beats: all would go to
 * those that told the least, until the next beat, which is worse than to choose blindly (docs/SCALE.md). So it counts in so
 * many cases as a call takes of that time; the calls that this host waits for count always. */
static bool beats_count(struct gateway *gateway, const struct host *a, const struct host *b)
{
	const uint64_t took = a->took > b->took ? a->took : b->took;
	return !took || took >= HOST_BEAT || gateway_random(gateway) % HOST_BEAT < took;
}

/* Its instances all have something to do that has not ended for so long that beats are true. */
static bool is_stuck(const struct host *host, const struct host_pool *pool)
{
	return host->hosts->gateway->now - pool->moved_at >= 2 * HOST_BEAT;
}

/* What there is to do for each instance that is ready; much, if none is. */
static double load(const struct host *host, const struct host_pool *pool, bool beat_counts)
{
	const double told = beat_counts || is_stuck(host, pool) ? (double)pool->queued + (double)pool->running : 0,
		     work = told + (double)host->unanswered;
	return pool->ready ? work / pool->ready : 1e9 + work;
}

/* Which hosts are asked first: those that have an instance that is ready; then those whose pool sleeps, and makes one when it is
 * asked; then those whose pool is paused, or being started. With `prefer = local` this host comes after others: its
 * daemon sends here what it has no room for. A host that is being sent sticky calls comes last. */
static unsigned rank(const struct host *host, const struct host_pool *pool, const struct remote *remote)
{
	const bool has_no_room = host->self && remote && !remote->prefer_load;

	if (host->replays || host->replay_fails > 0)
		return 0;
	return has_no_room ? 1 : pool->ready > 0 ? 3 : pool->slots == 0 ? 2 : 1;
}

bool route_is_ready(const struct host *host, const struct ask *ask)
{
	const struct host_pool *pool = host_pool(host, ask->target.pool);
	return pool && pool->ready > 0;
}

/* While the bus is not there, other hosts count as there for some time yet. */
static bool is_reachable(const struct gateway *gateway, const struct host *host)
{
	return host->self || gateway->bus_is_up;
}

static bool is_out(const struct route_out *out, const struct host *host)
{
	for (uint32_t i = 0; i < out->count; i++)
		if (out->hosts[i] == host)
			return true;
	return false;
}

static struct host *any(struct gateway *gateway, const struct ask *ask, const struct route_out *out)
{
	const struct remote *remote = ask->target.host.size ? NULL : remotes_find(gateway, ask->target.pool);
	struct host *chosen[2] = {NULL, NULL}, *host;
	unsigned best = 0;
	uint64_t seen = 0;

	TAILQ_FOREACH(host, &gateway->hosts->list, entry) {
		if (is_out(out, host) || !route_has(gateway, ask, host) || !is_reachable(gateway, host))
			continue;
		const unsigned its = rank(host, host_pool(host, ask->target.pool), remote);
		if (its < best)
			continue;
		if (its > best) {
			best = its;
			seen = 0;
			chosen[1] = NULL;
		}
		/* Two of the best, each with the same chance (Vitter's algorithm R). */
		const uint64_t place = seen < 2 ? seen : gateway_random(gateway) % (seen + 1);
		if (place < 2)
			chosen[place] = host;
		seen++;
	}
	if (!chosen[1])
		return chosen[0];
	const bool counts = beats_count(gateway, chosen[0], chosen[1]);
	const double first = load(chosen[0], host_pool(chosen[0], ask->target.pool), counts);
	const double second = load(chosen[1], host_pool(chosen[1], ask->target.pool), counts);
	if (first < second || first > second)
		return chosen[first > second];
	return chosen[gateway_random(gateway) % 2];
}

static uint64_t weight(const struct host *host, struct span key)
{
	uint64_t hash =
		name_hash(host->name, strlen(host->name)) ^ (name_hash(key.bytes, key.size) * UINT64_C(0x9e3779b97f4a7c15));

	hash = (hash ^ (hash >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	return hash ^ (hash >> 32);
}

static struct host *by_key(struct gateway *gateway, const struct ask *ask)
{
	struct host *host, *best = NULL;

	TAILQ_FOREACH(host, &gateway->hosts->list, entry) {
		if (!route_has(gateway, ask, host))
			continue;
		const bool ready = route_is_ready(host, ask), best_is_ready = best && route_is_ready(best, ask);
		if (!best || (ready && !best_is_ready) ||
		    (ready == best_is_ready && weight(host, ask->target.key) > weight(best, ask->target.key)))
			best = host;
	}
	return best;
}

/* A slot's number means something on one host only. */
static struct host *only(struct gateway *gateway, const struct ask *ask, struct error *error)
{
	struct host *host, *found = NULL;

	TAILQ_FOREACH(host, &gateway->hosts->list, entry) {
		if (!route_has(gateway, ask, host))
			continue;
		if (found) {
			error_say(error, ERROR_BAD_TARGET, RAN_NO,
				  "slot %u of which host? Several have pool %.*s: name one, as in %.*s@%s:%u", ask->target.slot,
				  SPAN_TEXT(ask->target.pool, 64), SPAN_TEXT(ask->target.pool, 64), found->name,
				  ask->target.slot);
			return NULL;
		}
		found = host;
	}
	if (!found)
		route_say_none(gateway, ask, error);
	return found;
}

struct host *route_other(struct gateway *gateway, const struct ask *ask, const struct route_out *out)
{
	return any(gateway, ask, out);
}

struct host *route_one(struct gateway *gateway, const struct ask *ask, const struct host *passed_over, struct error *error)
{
	struct host *host;

	if (!route_is_of_hosts(ask))
		return named(gateway, ask, error);
	if (ask->target.select == SELECT_SLOT)
		return only(gateway, ask, error);
	const struct route_out out = {.hosts = {passed_over}, .count = passed_over != NULL};
	host = ask->target.select == SELECT_KEY ? by_key(gateway, ask) : any(gateway, ask, &out);
	if (passed_over && route_has(gateway, ask, passed_over) &&
	    (!host || (route_is_ready(passed_over, ask) && !route_is_ready(host, ask))))
		host = hosts_find(gateway->hosts,
				  (struct span){.bytes = (const uint8_t *)passed_over->name,
						.size = strlen(passed_over->name)});
	if (!host)
		route_say_none(gateway, ask, error);
	return host;
}
