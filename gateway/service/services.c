/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/service/services.h"

#include "gateway/core/allowance.h"
#include "gateway/core/hosts.h"
#include "gateway/core/put.h"
#include "gateway/service/answer.h"
#include "gateway/service/bus_request.h"
#include "gateway/service/daemon_session.h"
#include "gateway/service/discovery.h"
#include "gateway/service/offer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define UNREADY         (1 * SECOND)  /* without an instance, until other hosts get the requests */
#define DESCRIBE_AGAIN  (30 * SECOND) /* code may have been loaded anew */
#define DESCRIBE_FAILED (1 * SECOND)
#define REST            (1 * SECOND)
#define SAY_REST        (60 * SECOND)

enum { SUBJECT = 256, PIECE = 4096, LARGER = 4 /* times: packed values that become JSON may be so much larger than it */ };

static const char group[] = "objpool", discovery_prefix[] = "$SRV.";

struct services {
	struct gateway *gateway;
	struct outlet outlet;
	char domain[GATEWAY_NAME_MAX + 1];
	struct offer_list offers;
	struct daemon_session session;
	bool quiet;     /* the daemon does not speak: seen last */
	bool rests;     /* it takes no requests */
	uint64_t rests_until, said_rest;
	uint64_t refusals_since;
	uint32_t refusals; /* since then */
	uint32_t calls; /* in progress */
	size_t bytes;   /* of their requests */
};

/* A request in progress. */
struct bus_call {
	struct asked asked;
	struct services *services;
	enum body_form form;
	uint64_t begun;
	size_t size; /* of the request to the daemon */
	size_t method_size;
	const char *reply; /* below; NULL: no answer is awaited */
	const char *pool, *method;
	char texts[];
};

/* The daemon is asked what a pool offers. */
struct describing {
	struct asked asked;
	struct services *services;
	char pool[];
};

/* ---- subscriptions ---- */

static void say_subscription(struct services *services, const char *pattern, int r)
{
	if (r < 0)
		gateway_log(services->gateway, LOG_ERR, "it can't subscribe to %s: %s", pattern, strerror(-r));
}

static int subscribe(struct services *services, const char *pattern, const char *in_group)
{
	const struct outlet *outlet = &services->outlet;
	const int r = outlet->bus ? outlet->engine->subscribe(outlet->bus, pattern, in_group, services) : -ENOTCONN;

	if (outlet->bus)
		say_subscription(services, pattern, r);
	return r;
}

static void unsubscribe(struct services *services, const char *pattern)
{
	if (services->outlet.bus)
		services->outlet.engine->unsubscribe(services->outlet.bus, pattern, services);
}

static void make_pattern(const struct services *services, const struct offer *offer, bool own_host, char pattern[SUBJECT])
{
	snprintf(pattern, SUBJECT, "objpool.%s.call.%s%s%s.>", services->domain, offer->name, own_host ? "@" : "",
		 own_host ? services->gateway->name : "");
}

static void set_in_group(struct services *services, struct offer *offer, bool in_group)
{
	char pattern[SUBJECT];

	if (offer->in_group == in_group)
		return;
	make_pattern(services, offer, false, pattern);
	if (!in_group)
		unsubscribe(services, pattern);
	offer->in_group = in_group && subscribe(services, pattern, group) == 0;
}

static void subscribe_own(struct services *services, const struct offer *offer)
{
	char pattern[SUBJECT];

	make_pattern(services, offer, true, pattern);
	if (!services->rests)
		(void)subscribe(services, pattern, NULL);
}

static void withdraw(struct services *services, struct offer *offer)
{
	char pattern[SUBJECT];

	set_in_group(services, offer, false);
	make_pattern(services, offer, true, pattern);
	unsubscribe(services, pattern);
	TAILQ_REMOVE(&services->offers, offer, entry);
	(void)offer_free(offer);
}

void services_set_bus(struct services *services, struct bus *bus, const char *domain)
{
	struct offer *offer;

	services->outlet.bus = bus;
	services->rests = false;
	TAILQ_FOREACH(offer, &services->offers, entry)
		offer->in_group = false;
	if (!bus)
		return;
	snprintf(services->domain, sizeof services->domain, "%s", domain);
	(void)subscribe(services, "$SRV.>", NULL);
	TAILQ_FOREACH(offer, &services->offers, entry) {
		subscribe_own(services, offer);
		set_in_group(services, offer, true);
	}
}

/* ---- describing ---- */

static void describing_over(struct describing *describing, uint64_t again)
{
	struct services *services = describing->services;
	const struct span name = {.bytes = (const uint8_t *)describing->pool, .size = strlen(describing->pool)};
	struct offer *offer = offers_find(&services->offers, name);

	if (offer) {
		offer->asked = false;
		offer->describe_at = services->gateway->now + again;
	}
	free(describing);
}

static void described(struct asked *asked, const struct rpc *rpc)
{
	struct describing *describing = container_of(asked, struct describing, asked);
	struct services *services = describing->services;
	const struct span name = {.bytes = (const uint8_t *)describing->pool, .size = strlen(describing->pool)};
	struct offer *offer = offers_find(&services->offers, name);
	struct reader error = reader_of(rpc->error);
	const bool good = read_nil(&error) == 0 && offer && offer_describe(offer, &services->gateway->memory, rpc->result) == 0;
	char text[ANSWER_TEXT] = "";

	if (!good) /* who is denied it does not ask every second: each time is in the daemon's log */
		answer_error(&services->outlet, NULL, BODY_MSGPACK, rpc->error, text);
	describing_over(describing, good || strncmp(text, "DENIED:", 7) == 0 ? DESCRIBE_AGAIN : DESCRIBE_FAILED);
}

static void not_described(struct asked *asked, const struct error *error)
{
	(void)error;
	describing_over(container_of(asked, struct describing, asked), DESCRIBE_FAILED);
}

static void describe(struct services *services, struct offer *offer)
{
	static const struct asked_ops ops = {.answered = described, .lost = not_described};
	struct describing *describing = calloc(1, sizeof *describing + strlen(offer->name) + 1);
	uint32_t number;

	offer->describe_at = services->gateway->now + DESCRIBE_FAILED;
	if (!describing)
		return;
	describing->services = services;
	strcpy(describing->pool, offer->name);
	struct sendq *to = daemon_session_begin(&services->session, &number);
	if (!to) {
		free(describing);
		return;
	}
	put_array(to, 4);
	put_uint(to, RPC_REQUEST);
	put_uint(to, number);
	put_text(to, "objpool.describe");
	put_array(to, 1);
	put_text(to, offer->name);
	offer->asked = daemon_session_end(&services->session, number, &describing->asked, &ops) == 0;
	if (!offer->asked)
		free(describing);
}

/* ---- what this host shares ---- */

static bool is_ready_elsewhere(const struct hosts *hosts, const char *name)
{
	const struct span pool_name = {.bytes = (const uint8_t *)name, .size = strlen(name)};
	const struct host *host;

	TAILQ_FOREACH(host, &hosts->list, entry) {
		const struct host_pool *pool = host->self || host->state != HOST_READY ? NULL : host_pool(host, pool_name);
		if (pool && pool->ready > 0)
			return true;
	}
	return false;
}

static struct offer *add_offer(struct services *services, const struct host_pool *pool)
{
	struct offer *offer = offer_new(pool->name, pool->class ? pool->class : "");

	if (!offer)
		return NULL;
	TAILQ_INSERT_TAIL(&services->offers, offer, entry);
	subscribe_own(services, offer);
	return offer;
}

static void see_pool(struct services *services, const struct host_pool *pool)
{
	const struct span name = {.bytes = (const uint8_t *)pool->name, .size = strlen(pool->name)};
	const uint64_t now = services->gateway->now;
	const bool is_for_bus = host_pool_is_for(pool, GATEWAY_BUS_HOST);
	struct offer *offer = is_for_bus ? offers_find(&services->offers, name) : NULL;

	if (!offer && is_for_bus && services->gateway->state == GATEWAY_SERVING)
		offer = add_offer(services, pool);
	if (!offer)
		return;
	offer->listed = true;
	offer->slots = pool->slots;
	if (pool->ready > 0)
		offer->unready_since = 0;
	else if (offer->unready_since == 0)
		offer->unready_since = now;
	const bool rests = services->quiet || (pool->ready == 0 && now - offer->unready_since >= UNREADY);
	set_in_group(services, offer, !services->rests && !(rests && is_ready_elsewhere(services->gateway->hosts, pool->name)));
	if (pool->ready > 0 && !offer->asked && now >= offer->describe_at) /* the question would wake a pool that sleeps */
		describe(services, offer);
}

/* ---- rests ---- */

static void count_refusal(struct services *services, size_t size)
{
	const uint64_t now = services->gateway->now;

	if (now - services->refusals_since >= SECOND) {
		services->refusals_since = now;
		services->refusals = 0;
	}
	services->refusals += (uint32_t)(1 + size / PIECE);
}

/* The server tells programs that nobody is there for them. It sends nothing more of theirs, but for what is on its way. */
static void begin_rest(struct services *services)
{
	const uint64_t now = services->gateway->now;
	struct offer *offer;
	char pattern[SUBJECT];

	services->rests = true;
	services->rests_until = now + REST;
	TAILQ_FOREACH(offer, &services->offers, entry) {
		set_in_group(services, offer, false);
		make_pattern(services, offer, true, pattern);
		unsubscribe(services, pattern);
	}
	if (services->said_rest && now - services->said_rest < SAY_REST)
		return;
	services->said_rest = now;
	gateway_log(services->gateway, LOG_WARNING,
		    "programs on the bus sent more than %d requests in a second that were refused: "
		    "none is taken for a second, each time",
		    SERVICES_REFUSALS);
}

/* see_pool puts the offers in their groups again. */
static void end_rest(struct services *services)
{
	struct offer *offer;

	services->rests = false;
	services->refusals = 0;
	TAILQ_FOREACH(offer, &services->offers, entry)
		subscribe_own(services, offer);
}

/* A host that bears another's name offers nothing, nor does one that stops. */
static void see_pools(struct services *services)
{
	const bool offers = services->gateway->state != GATEWAY_REFUSED && services->gateway->state != GATEWAY_DRAINING;
	const struct host *self = services->gateway->hosts->self;
	struct offer *offer, *next;

	if (services->rests && services->gateway->now >= services->rests_until)
		end_rest(services);
	TAILQ_FOREACH(offer, &services->offers, entry)
		offer->listed = false;
	for (uint32_t i = 0; self && offers && i < self->pools.count; i++)
		see_pool(services, &self->pools.list[i]);
	for (offer = TAILQ_FIRST(&services->offers); offer; offer = next) {
		next = TAILQ_NEXT(offer, entry);
		if (!offer->listed)
			withdraw(services, offer);
	}
}

/* A reload may have changed rights, or code. */
static void describe_all_again(struct services *services)
{
	struct offer *offer;

	TAILQ_FOREACH(offer, &services->offers, entry)
		offer->describe_at = 0;
}

void services_on_supervisor(struct services *services, struct span message)
{
	struct reader reader = reader_of(message);
	uint32_t count;
	uint64_t kind;

	if (read_array(&reader, &count) < 0 || read_uint(&reader, &kind) < 0)
		return;
	if (kind == TO_GATEWAY_CONFIG)
		describe_all_again(services);
	if (kind == TO_GATEWAY_POOLS || kind == TO_GATEWAY_DRAIN)
		see_pools(services);
}

/* ---- calls ---- */

static void call_over(struct bus_call *call, const char *error)
{
	struct services *services = call->services;
	const struct span pool = {.bytes = (const uint8_t *)call->pool, .size = strlen(call->pool)};
	struct offer *offer = offers_find(&services->offers, pool);
	struct endpoint *endpoint =
		offer ? offer_endpoint(offer, (struct span){.bytes = (const uint8_t *)call->method, .size = call->method_size})
		      : NULL;

	if (endpoint)
		endpoint_count(endpoint, services->gateway->now - call->begun, error);
	services->calls--;
	services->bytes -= call->size;
	free(call);
}

static void call_lost(struct asked *asked, const struct error *error)
{
	struct bus_call *call = container_of(asked, struct bus_call, asked);
	char text[ANSWER_TEXT];

	answer_failure(&call->services->outlet, call->reply, call->form, error, text);
	call_over(call, text);
}

static void call_answered(struct asked *asked, const struct rpc *rpc)
{
	struct bus_call *call = container_of(asked, struct bus_call, asked);
	struct outlet *outlet = &call->services->outlet;
	struct reader reader = reader_of(rpc->error);
	char text[ANSWER_TEXT];
	struct error error;

	if (read_nil(&reader) < 0) {
		answer_error(outlet, call->reply, call->form, rpc->error, text);
		call_over(call, text);
	} else if (answer_value(outlet, call->reply, call->form, rpc->result, &error) < 0) {
		call_lost(asked, &error);
	} else {
		call_over(call, NULL);
	}
}

static char *add_text(char *at, const void *text, size_t size)
{
	memcpy(at, text, size);
	at[size] = '\0';
	return at + size + 1;
}

static struct bus_call *new_call(struct services *services, const struct bus_request *request, const char *reply)
{
	const size_t reply_size = reply ? strlen(reply) : 0;
	struct bus_call *call = calloc(1, sizeof *call + reply_size + request->pool.size + request->method.size + 3);

	if (!call)
		return NULL;
	call->services = services;
	call->form = request->form;
	call->begun = services->gateway->now;
	call->size = bus_request_size(request);
	call->method_size = request->method.size;
	char *at = add_text(call->texts, reply ? reply : "", reply_size);
	call->reply = reply ? call->texts : NULL;
	call->pool = at;
	at = add_text(at, request->pool.bytes, request->pool.size);
	call->method = at;
	(void)add_text(at, request->method.bytes, request->method.size);
	services->calls++;
	services->bytes += call->size;
	return call;
}

static int no_room(struct error *error, const char *text)
{
	error_say(error, ERROR_OVERLOADED, RAN_NO, "%s", text);
	return -1;
}

static int check_room(const struct services *services, size_t size, struct error *error)
{
	if (size > services->gateway->max_message) {
		error_say(error, ERROR_TOO_LARGE, RAN_NO, "the request has %zu bytes, which is more than max_message", size);
		return -1;
	}
	if (services->calls >= SERVICES_CALLS)
		return no_room(error, "too many calls from the bus are in progress");
	if (services->bytes + size > SERVICES_BYTES && services->calls > 0)
		return no_room(error, "the calls from the bus that are in progress hold too much");
	return allowance_is_used_up(services->gateway) ? no_room(error, "the gateway holds too much") : 0;
}

static int ask(struct services *services, const struct bus_request *request, const char *reply, struct error *error)
{
	static const struct asked_ops ops = {.answered = call_answered, .lost = call_lost};
	uint32_t number;

	if (check_room(services, bus_request_size(request), error) < 0)
		return -1;
	struct sendq *to = daemon_session_begin(&services->session, &number);
	if (!to) {
		error_say(error, ERROR_UNAVAILABLE, RAN_NO, "the daemon of host %s takes no session", services->gateway->name);
		return -1;
	}
	struct bus_call *call = new_call(services, request, reply);
	if (!call) /* nothing was written */
		return no_room(error, "the gateway is out of memory");
	bus_request_put(request, services->gateway->name, number, to);
	if (daemon_session_end(&services->session, number, &call->asked, &ops) == 0)
		return 0;
	error_say(error, ERROR_OVERLOADED, RAN_MAYBE, "the gateway is out of memory");
	call_lost(&call->asked, error);
	return 0;
}

/* It was not begun. */
static void refuse(struct services *services, const struct bus_request *request, const char *reply, const struct error *error)
{
	struct offer *offer = offers_find(&services->offers, request->pool);
	struct endpoint *endpoint = offer ? offer_endpoint(offer, request->method) : NULL;
	char text[ANSWER_TEXT];

	answer_failure(&services->outlet, reply, request->form, error, text);
	if (endpoint)
		endpoint_count(endpoint, 0, text);
}

static void take_call(struct services *services, struct span rest, const struct bus_message *message)
{
	const struct bus_engine *engine = services->outlet.engine;
	struct bus_request request;
	struct error error;
	struct span host;

	if (bus_request_subject(rest, &request, &host) < 0)
		return;
	int r = bus_request_read(&request, message->bytes, engine->header(message, "Content-Type"),
				 engine->header(message, BUS_REQUEST_SELECTOR), engine->header(message, BUS_REQUEST_OPTIONS),
				 &services->gateway->memory, &error);
	if (r == 0 && !offers_find(&services->offers, request.pool)) {
		error_say(&error, ERROR_NO_SUCH_POOL, RAN_NO, "host %s does not share that pool any more",
			  services->gateway->name);
		r = -1;
	}
	if (r == 0)
		r = ask(services, &request, message->reply, &error);
	if (r < 0) {
		count_refusal(services, message->bytes.size);
		refuse(services, &request, message->reply, &error);
	}
	bus_request_close(&request);
}

/* What follows the prefix; `bytes` NULL: the subject does not begin so. */
static struct span behind(struct span subject, const char *prefix)
{
	const size_t size = strlen(prefix);

	if (subject.size < size || memcmp(subject.bytes, prefix, size) != 0)
		return (struct span){.bytes = NULL};
	return (struct span){.bytes = subject.bytes + size, .size = subject.size - size};
}

void services_on_message(struct services *services, const struct bus_message *message)
{
	const struct span asked = behind(message->subject, discovery_prefix);
	const struct discovery discovery = {.gateway = services->gateway,
					    .domain = services->domain,
					    .offers = &services->offers,
					    .outlet = &services->outlet};
	char prefix[SUBJECT];

	if (message->reply && !answer_may_go_to(message->reply))
		return;
	snprintf(prefix, sizeof prefix, "objpool.%s.call.", services->domain);
	const struct span rest = behind(message->subject, prefix);
	if (asked.bytes && message->reply)
		discovery_answer(&discovery, asked, message->reply);
	else if (rest.bytes)
		take_call(services, rest, message);
}

void services_end_turn(struct services *services)
{
	const struct outlet *outlet = &services->outlet;

	if (services->quiet != services->gateway->hosts->said_quiet) {
		services->quiet = !services->quiet;
		see_pools(services);
	}
	if (!services->rests && services->refusals > SERVICES_REFUSALS)
		begin_rest(services);
	services->session.largest = (outlet->bus ? outlet->engine->max_message(outlet->bus) : 0) * LARGER + BLOCK_LARGE;
	if (services->session.local)
		local_read(services->session.local, !outlet->bus || outlet->engine->unsent(outlet->bus) < SERVICES_UNSENT);
}

/* ---- life ---- */

struct services *services_new(struct gateway *gateway, const struct bus_engine *engine)
{
	struct services *services = calloc(1, sizeof *services);

	if (!services)
		return NULL;
	services->gateway = gateway;
	services->outlet = (struct outlet){.engine = engine, .account = &gateway->memory};
	services->session = (struct daemon_session){.gateway = gateway, .largest = BLOCK_LARGE};
	TAILQ_INIT(&services->offers);
	return services;
}

struct services *services_free(struct services *services)
{
	struct offer *offer;

	if (!services)
		return NULL;
	daemon_session_close(&services->session, "the gateway of this host ends");
	idmap_free(&services->session.asked);
	while ((offer = TAILQ_FIRST(&services->offers))) {
		TAILQ_REMOVE(&services->offers, offer, entry);
		(void)offer_free(offer);
	}
	free(services);
	return NULL;
}
