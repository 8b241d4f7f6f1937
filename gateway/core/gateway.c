/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/gateway.h"

#include "gateway/core/allowance.h"
#include "gateway/core/call.h"
#include "gateway/core/held.h"
#include "gateway/core/lane.h"
#include "gateway/core/remotes.h"
#include "gateway/core/replay.h"
#include "gateway/core/request.h"
#include "gateway/core/route.h"
#include "gateway/core/serve.h"
#include "gateway/core/sticky.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MEMORY_MAX (UINT64_C(1) << 30) /* CONFIG may say another number; likewise below */
#define STALL      (600 * MILLISECOND) /* beats are due more often: who comes so late stood still */

enum { PACKET_MIN = 1024, DUE_AT_ONCE = 1000, SESSIONS_MAX = 8192 };

/* ---- life ---- */

/* It gets its sticky calls first. */
static void host_came(struct host *host)
{
	replay_look(host);
	if (!host->replays)
		call_tell_host(host->hosts->gateway, host);
}

/* A host has had its sticky calls. */
static void released(struct gateway *gateway)
{
	struct host *host;

	held_release(gateway);
	TAILQ_FOREACH(host, &gateway->hosts->list, entry)
		if (!host->replays && host->state == HOST_READY)
			call_tell_host(gateway, host);
}

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
	gateway->max_message = GATEWAY_MESSAGE_MAX;
	gateway->memory.limit = MEMORY_MAX;
	gateway->others.parent = &gateway->memory;
	gateway->to_supervisor.account = &gateway->memory;
	gateway->max_sessions = SESSIONS_MAX;
	while (gateway->incarnation == 0)
		gateway->incarnation = gateway_random(gateway);
	TAILQ_INIT(&gateway->stickies);
	TAILQ_INIT(&gateway->dirty);
	TAILQ_INIT(&gateway->stuck);
	if (hosts_open(gateway) < 0 || clients_open(gateway) < 0 || held_open(gateway) < 0)
		return gateway_free(gateway);
	gateway->hosts->gone = conduit_host_gone;
	gateway->hosts->came = host_came;
	gateway->clients->resumed = request_resume;
	gateway->clients->idle = request_session_idle;
	gateway->clients->released = released;
	gateway->clients->take = request_take;
	channels_open(gateway, serve_opened);
	return gateway;
}

static void reap_all(struct gateway *gateway)
{
	while (gateway->endings) {
		struct gateway_ending *ending = gateway->endings;
		gateway->endings = ending->next;
		ending->reap(ending);
	}
}

struct gateway *gateway_free(struct gateway *gateway)
{
	struct host *host;

	if (!gateway)
		return NULL;
	gateway->ending = true;
	if (gateway->hosts)
		hosts_say_goodbye(gateway->hosts);
	gateway->bus_is_up = false; /* nothing is published any more */
	while (gateway->clients && !TAILQ_EMPTY(&gateway->clients->list)) {
		struct session *session = TAILQ_FIRST(&gateway->clients->list);
		request_abandon(session);
	}
	if (gateway->hosts)
		TAILQ_FOREACH(host, &gateway->hosts->list, entry)
			conduit_host_gone(host);
	conduits_flush(gateway);
	reap_all(gateway);
	stickies_close(gateway);
	if (gateway->clients) {
		held_close(gateway);
		remotes_close(gateway);
		idmap_free(&gateway->clients->by_sid);
		free(gateway->clients);
	}
	hosts_close(gateway);
	sendq_clear(&gateway->to_supervisor);
	timers_free(&gateway->timers);
	free(gateway);
	return NULL;
}

void gateway_leave(struct gateway *gateway)
{
	hosts_say_goodbye(gateway->hosts);
}

void gateway_end_turn(struct gateway *gateway)
{
	if (!TAILQ_EMPTY(&gateway->clients->thirsty))
		lanes_hear(gateway);
	conduits_flush(gateway);
	reap_all(gateway);
}

/* ---- the supervisor ---- */

static int take_config(struct gateway *gateway, struct reader *reader)
{
	struct span key, value, name = {0}, remotes = {0};
	uint64_t max_message = 0, max_sessions = 0, max_memory = 0;
	uint32_t count;

	if (read_map(reader, &count) < 0)
		return -EBADMSG;
	for (; count > 0; count--) {
		if (read_text(reader, &key) < 0 || read_value(reader, &value) < 0)
			return -EBADMSG;
		struct reader inside = reader_of(value);
		if (span_is(key, "name") && read_text(&inside, &name) < 0)
			return -EBADMSG;
		if (span_is(key, "remotes"))
			remotes = value;
		if (span_is(key, "max_message"))
			(void)read_uint(&inside, &max_message);
		if (span_is(key, "max_sessions"))
			(void)read_uint(&inside, &max_sessions);
		if (span_is(key, "max_memory"))
			(void)read_uint(&inside, &max_memory);
	}
	if (max_message > 0)
		gateway->max_message = max_message;
	if (max_sessions > 0)
		gateway->max_sessions = max_sessions;
	if (max_memory > 0)
		gateway->memory.limit = max_memory;
	const int r = hosts_name_self(gateway->hosts, name);
	if (r < 0)
		return r;
	if (gateway->bus_is_up && gateway->state == GATEWAY_CONNECTING)
		hosts_on_bus_up(gateway->hosts);
	return remotes.size > 0 ? remotes_set(gateway, remotes) : 0;
}

static int take_open(struct gateway *gateway, struct reader *reader)
{
	uint64_t sid;

	if (read_uint(reader, &sid) < 0)
		return -EBADMSG;
	return session_open(gateway, sid, reader_rest(reader));
}

static int take_message(struct gateway *gateway, struct reader *reader, struct block *block)
{
	struct span message;
	uint64_t sid;

	if (read_uint(reader, &sid) < 0 || read_value(reader, &message) < 0)
		return -EBADMSG;
	struct session *session = session_find(gateway, sid);
	if (session)
		request_take(session, message, block);
	return 0;
}

static int take_close(struct gateway *gateway, struct reader *reader)
{
	uint64_t sid;

	if (read_uint(reader, &sid) < 0)
		return -EBADMSG;
	struct session *session = session_find(gateway, sid);
	if (session)
		request_close_session(session);
	return 0;
}

static int take_taken(struct gateway *gateway, struct reader *reader)
{
	uint64_t sid, bytes;

	if (read_uint(reader, &sid) < 0 || read_uint(reader, &bytes) < 0)
		return -EBADMSG;
	struct session *session = session_find(gateway, sid);
	if (session)
		session_taken(session, bytes);
	return 0;
}

static void drain(struct gateway *gateway)
{
	if (gateway->state == GATEWAY_SERVING)
		gateway->state = GATEWAY_DRAINING;
	hosts_say_drain(gateway->hosts);
}

int gateway_on_supervisor(struct gateway *gateway, struct span message, struct block *block)
{
	struct reader reader = reader_of(message);
	uint32_t count;
	uint64_t kind;

	if (read_array(&reader, &count) < 0 || count < 1 || read_uint(&reader, &kind) < 0)
		return -EBADMSG;
	gateway_hears_daemon(gateway);
	switch (kind) {
	case TO_GATEWAY_CONFIG:
		return take_config(gateway, &reader);
	case TO_GATEWAY_OPEN:
		return take_open(gateway, &reader);
	case TO_GATEWAY_MESSAGE:
		return take_message(gateway, &reader, block);
	case TO_GATEWAY_CLOSE:
		return take_close(gateway, &reader);
	case TO_GATEWAY_TAKEN:
		return take_taken(gateway, &reader);
	case TO_GATEWAY_POOLS:
		return hosts_set_own_pools(gateway->hosts, reader_rest(&reader));
	case TO_GATEWAY_DRAIN:
		drain(gateway);
		return 0;
	default:
		return 0; /* of a later supervisor */
	}
}

bool gateway_reads_supervisor(const struct gateway *gateway)
{
	return gateway_wants_more(gateway);
}

/* ---- the bus ---- */

void gateway_on_bus_up(struct gateway *gateway, size_t max_payload, const char *text)
{
	gateway->packet_max = max_payload < PACKET_MIN ? PACKET_MIN : max_payload < GATEWAY_PACKET ? max_payload : GATEWAY_PACKET;
	gateway->bus_is_up = true;
	gateway->beats_refused = false;
	(void)snprintf(gateway->bus_text, sizeof gateway->bus_text, "%s", text);
	if (gateway->hosts->self)
		hosts_on_bus_up(gateway->hosts);
}

void gateway_on_beat_refused(struct gateway *gateway)
{
	if (gateway->bus_is_up && gateway->hosts->self)
		hosts_on_beat_refused(gateway->hosts);
}

void gateway_on_bus_down(struct gateway *gateway, const char *text)
{
	gateway->bus_is_up = false;
	(void)snprintf(gateway->bus_text, sizeof gateway->bus_text, "%s", text);
	hosts_say_connecting(gateway->hosts);
}

void gateway_on_beat(struct gateway *gateway, struct span from, struct span bytes)
{
	hosts_on_beat(gateway->hosts, from, bytes);
}

void gateway_on_packet(struct gateway *gateway, struct span from, struct span bytes)
{
	conduit_on_packet(gateway, from, bytes);
}

void gateway_on_disconnect(struct gateway *gateway, struct span host)
{
	hosts_on_disconnect(gateway->hosts, host);
}

/* ---- sessions of the own daemon ---- */

void gateway_on_local_bytes(struct local *local, struct span bytes)
{
	gateway_hears_daemon(local->gateway);
	if (local->ops)
		local->ops->bytes(local, bytes);
}

void gateway_on_local_sent(struct local *local)
{
	if (local->ops)
		local->ops->sent(local);
}

void gateway_on_local_gone(struct local *local)
{
	const struct local_ops *ops = local->ops;

	local->ops = NULL;
	if (ops)
		ops->gone(local);
}

/* ---- time ---- */

uint64_t gateway_next(const struct gateway *gateway)
{
	return timers_next(&gateway->timers);
}

void gateway_run(struct gateway *gateway)
{
	const uint64_t due = gateway_next(gateway);

	/* The process was stopped, or had no CPU: that others were not heard meanwhile is not their fault. */
	if (due != UINT64_MAX && gateway->now > due + STALL) {
		hosts_forgive(gateway->hosts, gateway->now - due);
		conduits_forgive(gateway, gateway->now - due);
	}
	timers_run(&gateway->timers, gateway->now, DUE_AT_ONCE);
}

/* ---- for tests ---- */

bool gateway_is_quiet(const struct gateway *gateway)
{
	return TAILQ_EMPTY(&gateway->clients->list) && gateway->served == 0 && conduits_are_quiet(gateway);
}
