/* SPDX-License-Identifier: Apache-2.0 */
#include "client/c/routing.h"

#include "client/c/readiness.h"
#include "proto/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	ROUTING_LARGE = 64 << 10, /* so large arguments go on the connection: it can pass them by descriptor */
	ROUTING_LARGE_RESULT = 256 << 10, /* likewise the calls of a method whose last result was so large */
	ROUTING_PAUSE_MS = 20,    /* after a refusal; it doubles */
	ROUTING_PAUSE_MAX_MS = 2000,
	ROUTING_DENIED_MS = 10000, /* the pool has no channels, until a reload gives it some */
	ROUTING_SPREAD_MS = 1000,  /* all instances that the daemon would choose have a channel */
	ROUTING_GLANCE = 64,       /* messages between looks at the clock, for a route that has a channel */
	ROUTING_TARGET_MAX = 256,
	ROUTING_BUFFERED = 256 << 10, /* with so many unsent bytes a request is sent at once, not in the next turn */
};

/* ---- routes ---------------------------------------------------------------------------------------------------------- */

/* "sim" and "sim:2". False: another selector. */
static bool parse_target(const char *target, size_t size, size_t *pool_size, int64_t *slot)
{
	const char *colon = memchr(target, ':', size), *end = target + size;

	*pool_size = colon ? (size_t)(colon - target) : size;
	*slot = -1;
	if (!colon)
		return size > 0 && size < ROUTING_TARGET_MAX;
	if (colon + 1 == end || end - colon > 7)
		return false;
	*slot = 0;
	for (const char *p = colon + 1; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		*slot = *slot * 10 + (*p - '0');
	}
	return size < ROUTING_TARGET_MAX;
}

/* Puts the route in front: the next call has probably the same. */
static struct route *find_route(struct channels *channels, const char *target, size_t size)
{
	for (struct route **at = &channels->routes, *route; (route = *at); at = &route->next) {
		if (route->size != size || memcmp(route->target, target, size) != 0)
			continue;
		*at = route->next;
		route->next = channels->routes;
		channels->routes = route;
		return route;
	}
	return NULL;
}

/* Finds or makes the route to a target. NULL: it is not one instance, or there is no memory. */
static struct route *route_to(struct objpool_client *client, const char *target, size_t size)
{
	struct route *route = find_route(&client->channels, target, size);
	size_t pool_size;
	int64_t slot;

	if (route || !parse_target(target, size, &pool_size, &slot))
		return route;
	route = route_new(target, size, pool_size, slot);
	if (!route)
		return NULL;
	route->client = client;
	route->next = client->channels.routes;
	client->channels.routes = route;
	return route;
}

static struct route *route_of(struct objpool_client *client, const struct client_request *request)
{
	const char *target = request->options->target;

	if (target)
		return route_to(client, target, strlen(target));
	return route_to(client, request->method, (size_t)(strchr(request->method, '.') - request->method));
}

/* ---- asking for channels --------------------------------------------------------------------------------------------- */

static int64_t in_ms(uint32_t ms)
{
	return clock_now() + (int64_t)ms * CLOCK_NS_PER_MS;
}

static void on_refusal(struct route *route, const struct objpool_error *error)
{
	const uint32_t twice = 2 * route->pause_ms < ROUTING_PAUSE_MAX_MS ? 2 * route->pause_ms : ROUTING_PAUSE_MAX_MS;

	route->pause_ms = route->pause_ms ? twice : ROUTING_PAUSE_MS;
	route->retry_at = in_ms(strcmp(error->code, "DENIED") == 0 ? ROUTING_DENIED_MS : route->pause_ms);
}

/* {slot, channel, ...}. False: it is none of this. */
static bool parse_attached(struct objpool_bytes answer, int64_t *slot, uint64_t *id)
{
	struct objpool_reader reader = objpool_reader(answer);
	const char *key;
	size_t size;
	uint32_t count, found = 0;

	if (objpool_read_map(&reader, &count) < 0)
		return false;
	for (; count > 0 && objpool_read_str(&reader, &key, &size) == 0; count--) {
		const bool is_slot = size == 4 && memcmp(key, "slot", 4) == 0;
		const bool is_id = size == 7 && memcmp(key, "channel", 7) == 0;
		if ((is_slot && objpool_read_int(&reader, slot) == 0) || (is_id && objpool_read_uint(&reader, id) == 0))
			found++;
		else if (objpool_read_value(&reader, NULL) < 0)
			return false;
	}
	return found == 2;
}

/* Adds a channel. A second one to the same instance is closed: the daemon has none to offer that has fewer. */
static void add_channel(struct route *route, int fd, int64_t slot, uint64_t id)
{
	struct channel **end = &route->channels;
	const bool again = route_channel_to(route, slot);
	struct channel *channel = channel_new(route, fd, route->client->channels.rings);

	route->pause_ms = 0;
	route->retry_at = 0;
	if (!channel || again || readiness_add(route->client, channel) < 0) {
		route->spread_at = in_ms(ROUTING_SPREAD_MS);
		if (channel)
			(void)channel_free(channel);
		return;
	}
	channel->slot = slot;
	channel->id = id;
	while (*end)
		end = &(*end)->next;
	*end = channel;
}

/* Sockets that were not asked for are closed when they come. */
static void count_attaches(struct objpool_client *client, bool begins)
{
	client->channels.attaches += begins ? 1 : -1u;
	client->channels.own_calls += begins ? 1 : -1u;
	client->wire.arrivals.takes_ends = client->channels.attaches > 0;
}

static void on_attached(void *context, const struct objpool_result *result)
{
	struct route *route = context;
	struct objpool_client *client = route->client;
	int64_t slot = -1;
	uint64_t id = 0;

	route->attaches = false;
	count_attaches(client, false);
	if (result->error) {
		on_refusal(route, result->error);
		return;
	}
	const int fd = arrivals_take(&client->wire.arrivals);
	if (fd >= 0 && parse_attached(result->value, &slot, &id)) {
		add_channel(route, fd, slot, id);
		return;
	}
	if (fd >= 0)
		(void)close(fd);
	route->retry_at = in_ms(ROUTING_DENIED_MS);
}

/* objpool.attach [pool, slot?, options?] */
static void pack_attach(struct objpool_packer *output, uint32_t msgid, const struct route *route, bool rings)
{
	objpool_pack_array(output, 4);
	objpool_pack_uint(output, 0);
	objpool_pack_uint(output, msgid);
	objpool_pack_cstr(output, "objpool.attach");
	objpool_pack_array(output, rings ? 3 : route->slot < 0 ? 1 : 2);
	objpool_pack_str(output, route->target, route->pool_size);
	if (route->slot >= 0)
		objpool_pack_int(output, route->slot);
	else if (rings)
		objpool_pack_nil(output);
	if (rings)
		objpool_pack(output, "{s: b}", "rings", true);
}

/* Asks for a channel. If there is no memory for the question, calls go on the connection. */
static void attach(struct objpool_client *client, struct route *route)
{
	struct pending_call call = {.callback = on_attached, .context = route}, none;
	size_t mark;

	if (connection_begin(client, &mark) < 0 || pending_add(&client->pending, &call) < 0)
		return;
	pack_attach(&client->wire.output, call.msgid, route, client->channels.rings);
	if (connection_commit(client, mark) < 0) {
		(void)pending_take(&client->pending, call.msgid, &none);
		return;
	}
	count_attaches(client, true);
	route->attaches = true;
}

int routing_on_rings(struct objpool_client *client, struct channel *channel, struct objpool_bytes params)
{
	int rc = channel_on_rings(channel, params);

	if (rc == 0 && channel->wire.rings)
		rc = readiness_add_rings(client, channel);
	if (rc < 0)
		client->channels.rings = false; /* the next channels have none */
	return rc;
}

/* ---- calls ----------------------------------------------------------------------------------------------------------- */

/* A route to any instance gets another channel while all that it has are busy. */
static bool wants_channel(const struct route *route, const struct channel *idlest)
{
	const int64_t not_before = idlest && route->spread_at > route->retry_at ? route->spread_at : route->retry_at;

	if (route->attaches || route_is_opening(route) || (idlest && (route->slot >= 0 || idlest->in_flight == 0)))
		return false;
	if (idlest && not_before != 0 && idlest->messages % ROUTING_GLANCE != 0)
		return false;
	return not_before == 0 || clock_now() >= not_before;
}

static bool suits_channel(const struct objpool_client *client, const struct client_request *request)
{
	const struct objpool_bytes args = request->args, kwargs = request->options->kwargs;

	return client_request_suits_channel(request) && args.size < ROUTING_LARGE && kwargs.size < ROUTING_LARGE &&
	       !((sent_payloads_find(&client->sent, args) | sent_payloads_find(&client->sent, kwargs)) & SENT_LOOKALIKE);
}

/* FNV-1a, which is not 0. */
static uint32_t hash_of(const char *method)
{
	uint32_t hash = 2166136261;

	for (; *method; method++)
		hash = (hash ^ (unsigned char)*method) * 16777619;
	return hash ? hash : 1;
}

static uint32_t *large_place(struct objpool_client *client, uint32_t method)
{
	return &client->channels.large[method % LARGE_METHODS];
}

void routing_choose(struct objpool_client *client, const struct client_request *request, struct pending_call *call)
{
	if (!client->channels.enabled || client->lost || client->closing || !suits_channel(client, request))
		return;
	call->method = hash_of(request->method);
	struct route *route = *large_place(client, call->method) == call->method ? NULL : route_of(client, request);
	if (!route)
		return;
	call->channel = route_idlest(route);
	if (wants_channel(route, call->channel))
		attach(client, route);
}

void routing_on_result(struct objpool_client *client, const struct pending_call *call, size_t size)
{
	uint32_t *place = large_place(client, call->method);

	if (call->method && size >= ROUTING_LARGE_RESULT)
		*place = call->method;
	else if (*place == call->method)
		*place = 0;
}

int routing_pack(struct pending_call *call, const struct client_request *request)
{
	struct channel *channel = call->channel;
	struct objpool_packer *output = &channel->wire.output;
	const size_t mark = output->size;

	client_request_pack_on_channel(request, &channel->wire, call->msgid);
	const size_t size = output->size - mark;
	struct channel_message *message = output->error ? NULL : malloc(sizeof *message + size);
	if (!message) {
		output->error = 0;
		output->size = mark;
		return -ENOMEM;
	}
	message->number = channel->messages++;
	message->size = size;
	memcpy(message->bytes, output->data + mark, size);
	call->message = message;
	channel->in_flight++;
	if (wire_unsent(&channel->wire) >= ROUTING_BUFFERED)
		(void)channel_flush(channel);
	return 0;
}

void routing_release(struct pending_call *call)
{
	if (call->message)
		call->channel->in_flight--;
	free(call->message);
	call->message = NULL;
	call->channel = NULL;
}

/* ---- leases ---------------------------------------------------------------------------------------------------------- */

void routing_on_lease(struct objpool_client *client, const char *pool, int64_t slot)
{
	char target[ROUTING_TARGET_MAX];
	const int size = snprintf(target, sizeof target, "%s:%lld", pool, (long long)slot);

	if (!client->channels.enabled || size < 0 || (size_t)size >= sizeof target)
		return;
	struct route *any = find_route(&client->channels, pool, strlen(pool));
	struct channel *shared = any ? route_channel_to(any, slot) : NULL;
	if (shared)
		shared->state = CHANNEL_CLOSING;
	struct route *route = route_to(client, target, (size_t)size);
	if (route)
		route->leased = true;
}

void routing_on_release(struct objpool_client *client, const char *pool, int64_t slot)
{
	const size_t size = strlen(pool);

	for (struct route *route = client->channels.routes; route; route = route->next)
		if (route->pool_size == size && memcmp(route->target, pool, size) == 0 && (slot < 0 || route->slot == slot))
			route->leased = false;
}
