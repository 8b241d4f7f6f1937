/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/sticky.h"

#include "gateway/core/remotes.h"

#include <errno.h>
#include <stdlib.h>

enum { TRIES = 3 };

static bool same(struct span a, struct span b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

struct sticky *sticky_unref(struct sticky *sticky)
{
	if (!sticky || --sticky->refs > 0)
		return NULL;
	block_unref(sticky->block);
	free(sticky->user);
	free(sticky->had);
	free(sticky);
	return NULL;
}

void sticky_drop(struct sticky *sticky)
{
	struct gateway *gateway = sticky->gateway;

	if (!sticky->listed)
		return;
	sticky->listed = false;
	TAILQ_REMOVE(&gateway->stickies, sticky, entry);
	gateway->sticky_count--;
	gateway->sticky_bytes -= sticky->block->capacity;
	(void)sticky_unref(sticky);
}

uint32_t sticky_forget(struct gateway *gateway, struct span pool, struct span method)
{
	struct sticky *sticky, *next;
	uint32_t count = 0;

	for (sticky = TAILQ_FIRST(&gateway->stickies); sticky; sticky = next) {
		next = TAILQ_NEXT(sticky, entry);
		if (!same(sticky->ask.target.pool, pool) || (method.size && !same(sticky->ask.method, method)))
			continue;
		sticky_drop(sticky);
		count++;
	}
	return count;
}

/* Those of the same target and method: `p` may stand for fewer hosts than `p@*`. */
static void replace(struct gateway *gateway, const struct ask *by)
{
	struct sticky *sticky, *next;

	for (sticky = TAILQ_FIRST(&gateway->stickies); sticky; sticky = next) {
		next = TAILQ_NEXT(sticky, entry);
		if (same(sticky->ask.target.pool, by->target.pool) && same(sticky->ask.target.host, by->target.host) &&
		    same(sticky->ask.method, by->method))
			sticky_drop(sticky);
	}
}

/* A copy of the message, and what asks for it in there. */
static int copy_ask(struct sticky *sticky, const struct ask *ask, struct error *error)
{
	const uint8_t *begin = ask->rpc.method.bytes; /* the params follow the method, and end the message */
	const size_t size = (size_t)(ask->rpc.params.bytes + ask->rpc.params.size - begin);
	struct rpc rpc = ask->rpc;

	sticky->block = block_new(NULL, size); /* they last: no call waits for this memory */
	if (!sticky->block) {
		error_no_memory(error, RAN_NO);
		return -ENOMEM;
	}
	memcpy(sticky->block->bytes, begin, size);
	rpc.type = RPC_NOTIFICATION;
	rpc.method.bytes = sticky->block->bytes;
	rpc.params.bytes = sticky->block->bytes + (ask->rpc.params.bytes - begin);
	return ask_read(&sticky->ask, &rpc, error);
}

struct sticky *sticky_add(struct gateway *gateway, const struct ask *ask, const char *user, struct error *error)
{
	if (gateway->sticky_count >= STICKY_CALLS || gateway->sticky_bytes + ask->rpc.params.size > STICKY_BYTES) {
		error_say(error, ERROR_OVERLOADED, RAN_NO,
			  "the gateway remembers %u sticky calls, as many as it may: forget some", gateway->sticky_count);
		return NULL;
	}
	struct sticky *sticky = calloc(1, sizeof *sticky);
	if (sticky)
		sticky->refs = 1;
	if (!sticky || !(sticky->user = strdup(user))) {
		error_no_memory(error, RAN_NO);
		return sticky_unref(sticky);
	}
	if (copy_ask(sticky, ask, error) < 0)
		return sticky_unref(sticky);
	if (sticky->ask.sticky == ASK_REPLACE)
		replace(gateway, &sticky->ask);
	sticky->gateway = gateway;
	sticky->listed = true;
	sticky->refs++;
	TAILQ_INSERT_TAIL(&gateway->stickies, sticky, entry);
	gateway->sticky_count++;
	gateway->sticky_bytes += sticky->block->capacity;
	return sticky;
}

bool sticky_has_had(const struct sticky *sticky, const struct host *host)
{
	for (uint32_t i = 0; i < sticky->had_count; i++)
		if (sticky->had[i] == host_incarnation(host))
			return true;
	return false;
}

/* Incarnations that are over are dropped: hosts that come and go do not make it grow. */
static bool is_there(const struct gateway *gateway, uint64_t incarnation)
{
	const struct host *host;

	TAILQ_FOREACH(host, &gateway->hosts->list, entry)
		if (host_incarnation(host) == incarnation)
			return true;
	return false;
}

int sticky_set_had(struct sticky *sticky, const struct host *host)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < sticky->had_count; i++)
		if (is_there(sticky->gateway, sticky->had[i]) && sticky->had[i] != host_incarnation(host))
			sticky->had[kept++] = sticky->had[i];
	sticky->had_count = kept;
	uint64_t *had = realloc(sticky->had, (kept + 1) * sizeof *had);
	if (!had)
		return -ENOMEM;
	sticky->had = had;
	had[sticky->had_count++] = host_incarnation(host);
	return 0;
}

void sticky_lost(struct sticky *sticky, const struct host *host, bool may_have_run)
{
	if (may_have_run && sticky->ask.sticky == ASK_APPEND)
		return;
	for (uint32_t i = 0; i < sticky->had_count; i++)
		if (sticky->had[i] == host_incarnation(host))
			sticky->had[i--] = sticky->had[--sticky->had_count];
	sticky->gateway->sticky_owed = true;
}

/* Is the host among those of the target? */
static bool is_meant(const struct sticky *sticky, const struct host *host, const struct host_pool *pool)
{
	const bool is_plain = sticky->ask.target.host.size == 0;
	const struct remote *remote = is_plain ? remotes_find(sticky->gateway, sticky->ask.target.pool) : NULL;

	return host->self || (pool->open && (!remote || remote_names(remote, host->name)));
}

struct sticky *sticky_due(const struct gateway *gateway, const struct host *host)
{
	struct sticky *sticky;

	TAILQ_FOREACH(sticky, &gateway->stickies, entry) {
		const struct host_pool *pool = host_pool(host, sticky->ask.target.pool);
		if (pool && pool->ready > 0 && is_meant(sticky, host, pool) && !sticky_has_had(sticky, host))
			return sticky;
	}
	return NULL;
}

enum sticky_first sticky_comes_first(const struct host *host)
{
	if (host->replays)
		return STICKY_FIRST_WAITS;
	if (host->replay_fails == 0 || !sticky_due(host->hosts->gateway, host))
		return STICKY_FIRST_NONE;
	return host->replay_fails < TRIES ? STICKY_FIRST_WAITS : STICKY_FIRST_FAILS;
}

void stickies_close(struct gateway *gateway)
{
	while (!TAILQ_EMPTY(&gateway->stickies))
		sticky_drop(TAILQ_FIRST(&gateway->stickies));
}
