/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/hosts.h"

#include "gateway/core/put.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define EARLY_BEAT    (50 * MILLISECOND) /* a change of what is ready is said at once, but not more often than this */
#define POOLS_ARE_OLD SECOND
#define FORGET_AFTER  (600 * SECOND)
#define FULL_EVERY    (60 * SECOND) /* between two words about hosts that are ignored */
#define SAY_EVERY     SECOND
#define LINES_EVERY   (60 * SECOND)

bool host_name_is_valid(struct span name)
{
	for (size_t i = 0; i < name.size; i++) {
		const uint8_t c = name.bytes[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	return name.size > 0 && name.size <= GATEWAY_NAME_MAX && !span_is(name, GATEWAY_BUS_HOST);
}

/* The order of names is that of their bytes. */
static int compare(struct span name, const struct host *host)
{
	const size_t size = strlen(host->name), both = name.size < size ? name.size : size;
	const int order = memcmp(name.bytes, host->name, both);
	return order ? order : (name.size > size) - (name.size < size);
}

struct host *hosts_find(const struct hosts *hosts, struct span name)
{
	struct host *host;

	TAILQ_FOREACH(host, &hosts->list, entry)
		if (span_is(name, host->name))
			return host;
	return NULL;
}

static void host_free(struct host *host)
{
	TAILQ_REMOVE(&host->hosts->list, host, entry);
	host->hosts->count--;
	timer_close(&host->hosts->gateway->timers, &host->watch);
	host_pools_free(&host->pools);
	account_close(host->memory);
	free(host);
}

bool host_may_log(struct host *host)
{
	struct gateway *gateway = host->hosts->gateway;

	if (host->lines == 0 || gateway->now - host->lines_since >= LINES_EVERY) {
		host->lines_since = gateway->now;
		host->lines = 0;
	}
	if (host->lines == HOST_LINES)
		gateway_log(gateway, LOG_WARNING, "host %s: more about it is left out for a minute", host->name);
	if (host->lines <= HOST_LINES)
		host->lines++;
	return host->lines <= HOST_LINES;
}

static void set_state(struct host *host, enum host_state state)
{
	static const char *const names[] = {"is there", "is silent: it gets no new calls", "is gone"};
	struct hosts *hosts = host->hosts;
	const enum host_state before = host->state;

	if (state == before && host->since)
		return;
	if ((host->since || state != HOST_GONE) && host_may_log(host))
		gateway_log(hosts->gateway, state == HOST_READY ? LOG_INFO : LOG_WARNING, "host %s %s", host->name, names[state]);
	host->state = state;
	host->since = hosts->gateway->now;
	hosts_changed(hosts);
	if (state != HOST_GONE)
		return;
	host_pools_free(&host->pools);
	hosts->gone(host);
}

static void remember_epoch(struct hosts *hosts, uint64_t incarnation, uint64_t next_epoch)
{
	if (incarnation && next_epoch > 1)
		hosts->forgotten[hosts->forgotten_at++ % HOSTS_FORGOTTEN] =
			(struct forgotten){.incarnation = incarnation, .next_epoch = next_epoch};
}

/* Of a conduit with an incarnation that is new to its host. */
static uint64_t first_epoch(const struct hosts *hosts, uint64_t incarnation)
{
	uint64_t epoch = 1;

	for (unsigned i = 0; i < HOSTS_FORGOTTEN; i++)
		if (hosts->forgotten[i].incarnation == incarnation && hosts->forgotten[i].next_epoch > epoch)
			epoch = hosts->forgotten[i].next_epoch;
	return epoch;
}

static void host_forget(struct host *host)
{
	remember_epoch(host->hosts, host->incarnation, host->next_epoch);
	for (unsigned i = 0; i < HOST_BEFORE; i++)
		if (!host->before[i].over)
			remember_epoch(host->hosts, host->before[i].incarnation, host->before[i].next_epoch);
	host_free(host);
}

/* It is silent. */
static void watch_silence(struct host *host)
{
	const uint64_t gone = host->heard + HOST_GONE_AFTER, over = host->suspected + HOST_SUSPECT;

	timer_set(&host->hosts->gateway->timers, &host->watch, host->suspected && over < gone ? over : gone);
}

static bool is_over(const struct host *host)
{
	const uint64_t now = host->hosts->gateway->now;

	return now >= host->heard + HOST_GONE_AFTER || (host->suspected && now >= host->suspected + HOST_SUSPECT);
}

static bool may_be_forgotten(const struct host *host)
{
	return host->state == HOST_GONE && host->users == 0 && !host->conduit;
}

static void on_watch(struct timer *timer)
{
	struct host *host = container_of(timer, struct host, watch);
	struct gateway *gateway = host->hosts->gateway;

	if (host->state == HOST_GONE) {
		if (may_be_forgotten(host))
			host_forget(host);
		else
			timer_set(&gateway->timers, timer, gateway->now + FORGET_AFTER);
	} else if (is_over(host)) {
		set_state(host, HOST_GONE);
		timer_set(&gateway->timers, timer, gateway->now + FORGET_AFTER);
	} else if (gateway->now >= host->heard + HOST_SILENT_AFTER) {
		set_state(host, HOST_SILENT);
		watch_silence(host);
	} else {
		timer_set(&gateway->timers, timer, host->heard + HOST_SILENT_AFTER);
	}
}

/* Makes room for one. False: all are there, or in use. */
static bool forget_one(struct hosts *hosts)
{
	struct host *host, *longest = NULL;

	TAILQ_FOREACH(host, &hosts->list, entry)
		if (may_be_forgotten(host) && (!longest || host->since < longest->since))
			longest = host;
	if (longest)
		host_forget(longest);
	return longest != NULL;
}

/* Adds it in its place. */
static void insert(struct hosts *hosts, struct host *host, struct span name)
{
	struct host *after = NULL, *at;

	TAILQ_FOREACH(at, &hosts->list, entry)
		if (compare(name, at) > 0)
			after = at;
	if (after)
		TAILQ_INSERT_AFTER(&hosts->list, after, host, entry);
	else
		TAILQ_INSERT_HEAD(&hosts->list, host, entry);
	hosts->count++;
}

static void say_full(struct hosts *hosts, struct span name)
{
	struct gateway *gateway = hosts->gateway;

	if (hosts->full_said && gateway->now < hosts->full_said + FULL_EVERY)
		return;
	hosts->full_said = gateway->now;
	gateway_log(gateway, LOG_ERR, "host %.*s is ignored: there are %d hosts already, as many as a domain may have",
		    SPAN_TEXT(name, 64), HOSTS_MAX);
}

static struct host *host_new(struct hosts *hosts, struct span name)
{
	if (hosts->count >= HOSTS_MAX && !forget_one(hosts)) {
		say_full(hosts, name);
		return NULL;
	}
	struct host *host = calloc(1, sizeof *host);
	if (!host)
		return NULL;
	host->memory = account_new(&hosts->gateway->others);
	if (host->memory == &hosts->gateway->others) { /* out of memory */
		free(host);
		return NULL;
	}
	host->hosts = hosts;
	host->state = HOST_GONE;
	host->next_epoch = 1;
	memcpy(host->name, name.bytes, name.size);
	if (timer_open(&hosts->gateway->timers, &host->watch, on_watch) < 0) {
		account_close(host->memory);
		free(host);
		return NULL;
	}
	insert(hosts, host, name);
	return host;
}

/* ---- what this host says ---- */

/* For so long nothing has come of the own daemon, which tells of its pools every GATEWAY_POOLS_MS. 0: that is not longer than
 * usual, or it is not heard because nothing is read from it. */
static uint64_t quiet_of_daemon(const struct hosts *hosts)
{
	const struct gateway *gateway = hosts->gateway;
	const uint64_t quiet = gateway->now - gateway->daemon_heard;

	return hosts->pools_heard && quiet >= HOST_DAEMON_QUIET && gateway_wants_more(gateway) ? quiet : 0;
}

static void say_beat(struct hosts *hosts, bool bye)
{
	struct gateway *gateway = hosts->gateway;
	const uint64_t quiet = quiet_of_daemon(hosts);
	const bool tells = !bye && gateway->state == GATEWAY_SERVING && hosts->pools_heard &&
			   gateway->now - hosts->pools_heard < POOLS_ARE_OLD;
	const struct beat beat = {.incarnation = gateway->incarnation,
				  .number = ++hosts->beats,
				  .age = (gateway->now - gateway->started) / MILLISECOND,
				  .quiet = quiet / MILLISECOND,
				  .bye = bye};
	size_t size;

	if (quiet > 0 && !hosts->said_quiet)
		gateway_log(gateway, LOG_WARNING,
			    "the own daemon has said nothing for %llu ms: other hosts are told so, and send no calls",
			    (unsigned long long)beat.quiet);
	hosts->said_quiet = quiet > 0;
	hosts->last_beat = gateway->now;
	if (beat_publish(gateway, &beat, tells ? &hosts->self->pools : NULL, &size) < 0)
		gateway_log(gateway, LOG_ERR, "this host shares so many pools that a beat of %zu bytes can't name them", size);
}

static bool serves(const struct hosts *hosts)
{
	return hosts->gateway->state == GATEWAY_SERVING || hosts->gateway->state == GATEWAY_DRAINING;
}

void hosts_say_goodbye(struct hosts *hosts)
{
	if (serves(hosts) && hosts->gateway->bus_is_up)
		say_beat(hosts, true);
}

void hosts_say_drain(struct hosts *hosts)
{
	if (serves(hosts) && hosts->gateway->bus_is_up)
		say_beat(hosts, false);
	hosts_changed(hosts);
}

static void say_state(struct gateway *gateway, const char *state, const char *text)
{
	const size_t before = gateway->to_supervisor.bytes;

	put_array(&gateway->to_supervisor, 3);
	put_uint(&gateway->to_supervisor, FROM_GATEWAY_STATE);
	put_text(&gateway->to_supervisor, state);
	put_text(&gateway->to_supervisor, text);
	gateway_supervisor_wrote(gateway, before);
}

static void say_connected(struct hosts *hosts)
{
	struct gateway *gateway = hosts->gateway;
	char text[sizeof gateway->bus_text + GATEWAY_NAME_MAX + 100];

	(void)snprintf(text, sizeof text,
		       hosts->rival.refuses     ? "%s; another host calls itself %s, too, and serves nobody"
		       : gateway->beats_refused ? "%s; it does not let this host say that it is %s: others do not see it"
						: "%s",
		       gateway->bus_text, gateway->name);
	say_state(gateway, "connected", text);
}

void hosts_say_connecting(struct hosts *hosts)
{
	say_state(hosts->gateway, "connecting", hosts->gateway->bus_text);
	hosts_changed(hosts);
}

/* A goodbye of an incarnation that nobody knows: it tells the host that was there before, and nobody else minds. It is not this
 * one's, which may serve later. */
static void say_refusing(struct hosts *hosts)
{
	const struct gateway *gateway = hosts->gateway;
	const struct beat beat = {.incarnation = ~gateway->incarnation, .number = ++hosts->beats, .bye = true};
	size_t size;

	if (gateway->bus_is_up)
		(void)beat_publish(hosts->gateway, &beat, NULL, &size); /* it is small, and said again */
}

static void refuse(struct hosts *hosts)
{
	struct gateway *gateway = hosts->gateway;
	char text[256];
	struct host *host;

	(void)snprintf(text, sizeof text,
		       "another host calls itself %s, too, and was there before: this one serves nobody until it has "
		       "another name (`name` in [cluster]), or the other one is gone",
		       gateway->name);
	gateway->state = GATEWAY_REFUSED;
	say_state(gateway, "refused", text); /* which the daemon logs */
	say_refusing(hosts);
	hosts_changed(hosts);
	TAILQ_FOREACH(host, &hosts->list, entry)
		if (!host->self && host->state != HOST_GONE)
			hosts->gone(host);
}

static void listen_first(struct hosts *hosts)
{
	struct gateway *gateway = hosts->gateway;

	hosts->rival = (struct rival){0};
	gateway->state = GATEWAY_LISTENING;
	/* Two that listen at the same time must not find each other again and again. */
	timer_set(&gateway->timers, &hosts->listen, gateway->now + HOST_LISTEN + gateway_random(gateway) % (HOST_LISTEN / 8));
}

static void on_listened(struct timer *timer)
{
	struct hosts *hosts = container_of(timer, struct hosts, listen);
	struct gateway *gateway = hosts->gateway;
	struct host *host;

	if (gateway->state == GATEWAY_REFUSED && gateway->now < hosts->rival.heard + RIVAL_IS_OVER) {
		timer_set(&gateway->timers, timer, hosts->rival.heard + RIVAL_IS_OVER);
		say_refusing(hosts);
		return;
	}
	if (gateway->state == GATEWAY_REFUSED) {
		listen_first(hosts);
		return;
	}
	if (gateway->state != GATEWAY_LISTENING)
		return;
	gateway->state = GATEWAY_SERVING;
	gateway->sticky_owed = true; /* hosts that were heard before */
	say_connected(hosts);
	hosts_changed(hosts);
	say_beat(hosts, false);
	TAILQ_FOREACH(host, &hosts->list, entry)
		hosts->came(host);
}

void hosts_on_bus_up(struct hosts *hosts)
{
	struct gateway *gateway = hosts->gateway;

	if (gateway->state == GATEWAY_CONNECTING)
		listen_first(hosts);
	else if (serves(hosts))
		say_connected(hosts);
	if (serves(hosts))
		say_beat(hosts, false);
	hosts_changed(hosts);
}

void hosts_on_beat_refused(struct hosts *hosts)
{
	if (hosts->gateway->beats_refused || !serves(hosts))
		return;
	hosts->gateway->beats_refused = true;
	say_connected(hosts);
}

static void put_host(const struct host *host, struct sendq *to)
{
	static const char *const states[] = {"ready", "silent", "gone"};
	const struct gateway *gateway = host->hosts->gateway;

	put_map(to, 13);
	put_text(to, "name");
	put_text(to, host->name);
	put_text(to, "state");
	put_text(to, host->self ? "self" : states[host->state]);
	put_pair(to, "incarnation", host_incarnation(host));
	put_pair(to, "since_ms", (gateway->now - host->first_heard) / MILLISECOND);
	put_pair(to, "heard_ms", host->self ? 0 : (gateway->now - host->heard) / MILLISECOND);
	put_text(to, "rtt_us");
	if (host->rtt)
		put_uint(to, host->rtt / 1000);
	else
		put_nil(to);
	put_text(to, "pools");
	host_pools_put(&host->pools, to, true);
	put_pair(to, "calls", host->calls);
	put_pair(to, "inflight", host->unanswered);
	put_pair(to, "late", host->late);
	put_pair(to, "duplicates", host->duplicates);
	put_pair(to, "resent", host->resent);
	put_pair(to, "lost", host->lost);
}

void hosts_say(struct hosts *hosts)
{
	struct gateway *gateway = hosts->gateway;
	struct sendq *to = &gateway->to_supervisor;
	const size_t before = to->bytes;
	const struct host *host;

	if (!gateway_may_tell(gateway))
		return; /* it is told soon */
	hosts->said = gateway->now;
	hosts->changed = 0;
	put_array(to, 3);
	put_uint(to, FROM_GATEWAY_HOSTS);
	put_array(to, hosts->count);
	TAILQ_FOREACH(host, &hosts->list, entry)
		put_host(host, to);
	put_map(to, 10);
	put_text(to, "server");
	if (gateway->bus_is_up)
		put_text(to, gateway->bus_text);
	else
		put_nil(to);
	put_pair(to, "reconnects", gateway->bus.reconnects);
	put_pair(to, "slow", gateway->bus.slow);
	put_pair(to, "in_bytes", gateway->bus.in_bytes);
	put_pair(to, "out_bytes", gateway->bus.out_bytes);
	put_pair(to, "in_messages", gateway->bus.in_messages);
	put_pair(to, "out_messages", gateway->bus.out_messages);
	put_pair(to, "late", gateway->late);
	put_pair(to, "memory", gateway->memory.used);
	put_pair(to, "memory_limit", gateway->memory.limit);
	gateway_supervisor_wrote(gateway, before);
	gateway->told += to->bytes - before;
}

static void forget_rival(struct hosts *hosts)
{
	if (!hosts->rival.refuses || hosts->gateway->now < hosts->rival.refuses + 2 * RIVAL_IS_OVER)
		return;
	hosts->rival.refuses = 0;
	if (hosts->gateway->bus_is_up && serves(hosts))
		say_connected(hosts);
}

static void on_beat_due(struct timer *timer)
{
	struct hosts *hosts = container_of(timer, struct hosts, beat);
	struct gateway *gateway = hosts->gateway;

	timer_set(&gateway->timers, timer, gateway->now + HOST_BEAT);
	if (!gateway_wants_more(gateway))
		gateway_hears_daemon(gateway); /* it is not the daemon's fault */
	if (serves(hosts) && gateway->bus_is_up)
		say_beat(hosts, false);
	forget_rival(hosts);
	struct host *host;
	TAILQ_FOREACH(host, &hosts->list, entry)
		if (gateway->sticky_count > 0)
			hosts->came(host); /* what it has not had, because it was lost meanwhile */
	if (hosts->self && (hosts->changed || gateway->now - hosts->said >= SAY_EVERY))
		hosts_say(hosts);
}

static void on_early(struct timer *timer)
{
	struct hosts *hosts = container_of(timer, struct hosts, early);

	if (serves(hosts) && hosts->gateway->bus_is_up)
		say_beat(hosts, false);
	hosts_say(hosts);
}

static void say_soon(struct hosts *hosts)
{
	const uint64_t now = hosts->gateway->now, at = hosts->last_beat + EARLY_BEAT;

	if (!timer_is_set(&hosts->early))
		timer_set(&hosts->gateway->timers, &hosts->early, at > now ? at : now);
}

int hosts_set_own_pools(struct hosts *hosts, struct span pools)
{
	struct gateway *gateway = hosts->gateway;
	struct reader reader = reader_of(pools);
	bool changed = false;

	if (!hosts->self)
		return -EBADMSG;
	const int r = host_pools_read(&hosts->self->pools, &reader, gateway->name, gateway->now, &changed);
	if (r < 0)
		return r == -EBADMSG ? r : 0;
	hosts->pools_heard = gateway->now;
	if (changed) {
		hosts_changed(hosts);
		hosts->came(hosts->self);
	}
	if (changed || hosts->said_quiet)
		say_soon(hosts);
	return 0;
}

/* ---- what other hosts say ---- */

/* The other one serves nobody, as this host was there before. */
static void tell_of_rival(struct hosts *hosts)
{
	gateway_log(hosts->gateway, LOG_WARNING,
		    "another host calls itself %s, too, and came later: it serves nobody until it has another name",
		    hosts->gateway->name);
	say_connected(hosts);
}

/* Somebody else has this host's name. */
static void meet_rival(struct hosts *hosts, const struct beat *beat)
{
	struct gateway *gateway = hosts->gateway;

	const bool knew = hosts->rival.refuses > 0;
	if (!rival_on_beat(&hosts->rival, gateway, beat)) {
		if (hosts->rival.refuses > 0 && !knew && gateway->state == GATEWAY_SERVING)
			tell_of_rival(hosts);
		return;
	}
	refuse(hosts);
	timer_set(&gateway->timers, &hosts->listen, gateway->now + RIVAL_IS_OVER);
}

static struct host_before *before(struct host *host, uint64_t incarnation)
{
	for (unsigned i = 0; i < HOST_BEFORE; i++)
		if (host->before[i].incarnation == incarnation)
			return &host->before[i];
	return NULL;
}

/* Remembers the incarnation, which is no longer the host's. */
static void leave_incarnation(struct host *host, bool over)
{
	struct host_before *known = before(host, host->incarnation);

	if (!known)
		known = &host->before[host->before_at++ % HOST_BEFORE];
	*known = (struct host_before){.incarnation = host->incarnation, .next_epoch = host->next_epoch, .over = over};
	host->incarnation = 0;
}

/* Makes this the host's incarnation, if it may be. */
static bool take_incarnation(struct host *host, const struct beat *beat)
{
	if (host->incarnation == beat->incarnation)
		return true;
	const struct host_before *known = before(host, beat->incarnation);
	const uint64_t epoch = known ? known->next_epoch : first_epoch(host->hosts, beat->incarnation);
	if ((known && known->over) || (host->incarnation && host->state == HOST_READY) || beat->bye)
		return false;
	if (host->incarnation) {
		set_state(host, HOST_GONE); /* first: its conduit dies, and with it the epoch */
		leave_incarnation(host, false);
	}
	host->incarnation = beat->incarnation;
	host->first_heard = host->hosts->gateway->now;
	host->beat = 0;
	host->next_epoch = epoch;
	host->rtt = 0;
	return true;
}

/* Its gateway lives, and its daemon does not speak: as if it had not been heard since it spoke. */
static void take_quiet(struct host *host, uint64_t quiet)
{
	struct gateway *gateway = host->hosts->gateway;

	host->suspected = 0;
	host->heard = gateway->now > quiet ? gateway->now - quiet : 0;
	if (host->state == HOST_GONE) {
		timer_set(&gateway->timers, &host->watch, gateway->now + FORGET_AFTER);
		return;
	}
	if (host->state == HOST_READY && host_may_log(host))
		gateway_log(gateway, LOG_WARNING, "the daemon of host %s does not answer its gateway", host->name);
	if (!is_over(host))
		set_state(host, HOST_SILENT);
	timer_set(&gateway->timers, &host->watch, is_over(host) ? gateway->now : host->heard + HOST_GONE_AFTER);
}

static void take_beat(struct host *host, const struct beat *beat)
{
	struct hosts *hosts = host->hosts;
	struct gateway *gateway = hosts->gateway;
	struct reader pools = reader_of(beat->pools);
	bool changed = false;

	host->beat = beat->number;
	if (beat->bye) {
		/* What it said before it went may come after this. It must not bring the host back. */
		set_state(host, HOST_GONE);
		leave_incarnation(host, true);
		timer_set(&gateway->timers, &host->watch, gateway->now + FORGET_AFTER);
		return;
	}
	if (beat->quiet > 0) {
		take_quiet(host, beat->quiet < UINT32_MAX ? beat->quiet * MILLISECOND : UINT64_MAX);
		return;
	}
	host->heard = gateway->now;
	host->suspected = 0;
	const bool came = host->state != HOST_READY || host->since == 0;
	set_state(host, HOST_READY);
	timer_set(&gateway->timers, &host->watch, gateway->now + HOST_SILENT_AFTER);
	if (host_pools_read(&host->pools, &pools, gateway->name, gateway->now, &changed) < 0)
		host->late++;
	if (changed)
		hosts_changed(hosts);
	if (came || changed)
		hosts->came(host);
}

void hosts_on_beat(struct hosts *hosts, struct span from, struct span bytes)
{
	struct gateway *gateway = hosts->gateway;
	struct beat beat;

	if (!host_name_is_valid(from) || beat_read(bytes, &beat) < 0) {
		gateway->late++;
		return;
	}
	if (span_is(from, gateway->name)) {
		if (beat.incarnation != gateway->incarnation)
			meet_rival(hosts, &beat);
		return;
	}
	struct host *host = hosts_find(hosts, from);
	if (!host && !beat.bye)
		host = host_new(hosts, from);
	if (!host)
		return;
	if (!take_incarnation(host, &beat) || beat.number <= host->beat) {
		host->late++;
		return;
	}
	take_beat(host, &beat);
}

void hosts_on_disconnect(struct hosts *hosts, struct span name)
{
	struct host *host = hosts_find(hosts, name);

	if (!host || host->state == HOST_GONE || host->suspected)
		return;
	if (host->self) {
		say_soon(hosts);
		return;
	}
	host->suspected = hosts->gateway->now;
	if (host_may_log(host))
		gateway_log(hosts->gateway, LOG_INFO, "the bus tells that host %s has disconnected", host->name);
	set_state(host, HOST_SILENT);
	watch_silence(host);
}

void hosts_forgive(struct hosts *hosts, uint64_t time)
{
	struct host *host;

	TAILQ_FOREACH(host, &hosts->list, entry) {
		if (host->self || host->state == HOST_GONE)
			continue;
		host->heard = gateway_later(hosts->gateway, host->heard, time);
		if (host->suspected)
			host->suspected = gateway_later(hosts->gateway, host->suspected, time);
		if (host->state == HOST_READY)
			timer_set(&hosts->gateway->timers, &host->watch, host->heard + HOST_SILENT_AFTER);
		else
			watch_silence(host);
	}
	if (hosts->pools_heard)
		hosts->pools_heard = gateway_later(hosts->gateway, hosts->pools_heard, time);
	hosts->gateway->daemon_heard = gateway_later(hosts->gateway, hosts->gateway->daemon_heard, time);
}

int hosts_name_self(struct hosts *hosts, struct span name)
{
	struct gateway *gateway = hosts->gateway;

	if (!host_name_is_valid(name))
		return -EBADMSG;
	if (hosts->self)
		return span_is(name, gateway->name) ? 0 : -EBADMSG; /* a new name needs a new process */
	memcpy(gateway->name, name.bytes, name.size);
	hosts->self = host_new(hosts, name);
	if (!hosts->self)
		return -ENOMEM;
	hosts->self->self = true;
	hosts->self->state = HOST_READY;
	hosts->self->since = hosts->self->first_heard = gateway->now;
	timer_set(&gateway->timers, &hosts->beat, gateway->now + HOST_BEAT);
	return 0;
}

int hosts_open(struct gateway *gateway)
{
	struct hosts *hosts = calloc(1, sizeof *hosts);

	if (!hosts)
		return -ENOMEM;
	gateway->hosts = hosts;
	hosts->gateway = gateway;
	TAILQ_INIT(&hosts->list);
	if (timer_open(&gateway->timers, &hosts->beat, on_beat_due) < 0 ||
	    timer_open(&gateway->timers, &hosts->listen, on_listened) < 0 ||
	    timer_open(&gateway->timers, &hosts->early, on_early) < 0)
		return -ENOMEM;
	return 0;
}

void hosts_close(struct gateway *gateway)
{
	struct hosts *hosts = gateway->hosts;

	if (!hosts)
		return;
	while (!TAILQ_EMPTY(&hosts->list))
		host_free(TAILQ_FIRST(&hosts->list));
	timer_close(&gateway->timers, &hosts->beat);
	timer_close(&gateway->timers, &hosts->listen);
	timer_close(&gateway->timers, &hosts->early);
	free(hosts);
	gateway->hosts = NULL;
}
