/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/log/happened.h"

#include "daemon/core/records/pool.h"
#include "daemon/core/records/slot.h"
#include "proto/escape.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { EVENTS, COMINGS };
enum { MINUTE = 60000 /* milliseconds */ };

static const struct kind {
	const char *name;
	bool of_client;  /* only those see it who may see all of the daemon */
	bool of_cluster; /* who sees any, sees it */
	bool is_coming;  /* a coming or going */
	bool bounded;    /* HAPPENED_QUOTA in a minute */
} kinds[HAPPENED_KINDS] = {
	[HAPPENED_DAEMON_STARTED] = {.name = "daemon.started"},
	[HAPPENED_DAEMON_DRAINING] = {.name = "daemon.draining"},
	[HAPPENED_DAEMON_STOPPING] = {.name = "daemon.stopping"},
	[HAPPENED_CONFIG_RELOADED] = {.name = "config.reloaded"},
	[HAPPENED_CONFIG_REFUSED] = {.name = "config.refused"},
	[HAPPENED_POOL_CREATED] = {.name = "pool.created"},
	[HAPPENED_POOL_CHANGED] = {.name = "pool.changed"},
	[HAPPENED_POOL_REMOVED] = {.name = "pool.removed"},
	[HAPPENED_POOL_PAUSED] = {.name = "pool.paused"},
	[HAPPENED_POOL_RESUMED] = {.name = "pool.resumed"},
	[HAPPENED_POOL_FULL] = {.name = "pool.full"},
	[HAPPENED_TEMPLATE_STARTED] = {.name = "template.started"},
	[HAPPENED_TEMPLATE_READY] = {.name = "template.ready"},
	[HAPPENED_TEMPLATE_FAILED] = {.name = "template.failed"},
	[HAPPENED_TEMPLATE_DIED] = {.name = "template.died"},
	[HAPPENED_SLOT_STARTING] = {.name = "slot.starting"},
	[HAPPENED_SLOT_READY] = {.name = "slot.ready"},
	[HAPPENED_SLOT_FAILED] = {.name = "slot.failed"},
	[HAPPENED_SLOT_DIED] = {.name = "slot.died"},
	[HAPPENED_SLOT_KILLED] = {.name = "slot.killed"},
	[HAPPENED_SLOT_BACKOFF] = {.name = "slot.backoff"},
	[HAPPENED_SLOT_REPLACED] = {.name = "slot.replaced"},
	[HAPPENED_SLOT_STOPPED] = {.name = "slot.stopped"},
	[HAPPENED_CALL_KILLED] = {.name = "call.killed"},
	[HAPPENED_LEASE_OPENED] = {.name = "lease.opened", .is_coming = true},
	[HAPPENED_LEASE_RELEASED] = {.name = "lease.released", .is_coming = true},
	[HAPPENED_LEASE_BROKEN] = {.name = "lease.broken", .bounded = true},
	[HAPPENED_CLIENT_CONNECTED] = {.name = "client.connected", .of_client = true, .is_coming = true},
	[HAPPENED_CLIENT_GONE] = {.name = "client.gone", .of_client = true, .is_coming = true},
	[HAPPENED_CLIENT_REFUSED] = {.name = "client.refused", .of_client = true, .bounded = true},
	[HAPPENED_CLIENT_DENIED] = {.name = "client.denied", .of_client = true, .bounded = true},
	[HAPPENED_HOST_READY] = {.name = "host.ready", .of_cluster = true, .bounded = true},
	[HAPPENED_HOST_SILENT] = {.name = "host.silent", .of_cluster = true, .bounded = true},
	[HAPPENED_HOST_GONE] = {.name = "host.gone", .of_cluster = true, .bounded = true},
	[HAPPENED_BUS_CONNECTED] = {.name = "bus.connected", .of_cluster = true, .bounded = true},
	[HAPPENED_BUS_LOST] = {.name = "bus.lost", .of_cluster = true, .bounded = true},
	[HAPPENED_BUS_REFUSED] = {.name = "bus.refused", .of_cluster = true, .bounded = true},
	[HAPPENED_GATEWAY_STARTED] = {.name = "gateway.started", .of_cluster = true},
	[HAPPENED_GATEWAY_DIED] = {.name = "gateway.died", .of_cluster = true},
};

static struct happened_event events[HAPPENED_EVENTS], comings[HAPPENED_COMINGS];

/* A process has one daemon. Event n of a ring, counted from 0, is at n % room. */
static struct ring {
	struct happened_event *events;
	uint64_t room, count; /* count: ever recorded */
} rings[2] = {[EVENTS] = {.events = events, .room = HAPPENED_EVENTS}, [COMINGS] = {.events = comings, .room = HAPPENED_COMINGS}};

static uint64_t last;    /* number of the newest event */
static uint32_t readers; /* of comings and goings */

/* Of each kind that is bounded. */
static struct quota_of_kind {
	int64_t since; /* when its minute began */
	uint32_t count;
} quotas[HAPPENED_KINDS];

const char *happened_name(enum happened_kind kind)
{
	return kinds[kind].name;
}

bool happened_is_of_client(enum happened_kind kind)
{
	return kinds[kind].of_client;
}

bool happened_is_of_cluster(enum happened_kind kind)
{
	return kinds[kind].of_cluster;
}

bool happened_is_coming(enum happened_kind kind)
{
	return kinds[kind].is_coming;
}

bool happened_is_named(enum happened_kind kind, const char *word, size_t size)
{
	const char *name = kinds[kind].name;

	return strncmp(name, word, size) == 0 && memchr(word, '\0', size) == NULL && (name[size] == '\0' || name[size] == '.');
}

bool happened_is_wanted(enum happened_kind kind)
{
	return !kinds[kind].is_coming || readers > 0;
}

/* ---- recording ---- */

static int64_t milliseconds(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static struct happened_event *add(enum happened_kind kind)
{
	struct ring *ring = &rings[kinds[kind].is_coming ? COMINGS : EVENTS];
	struct happened_event *event = &ring->events[ring->count++ % ring->room];

	event->number = ++last;
	event->at = milliseconds(CLOCK_REALTIME);
	event->kind = kind;
	event->has_slot = event->has_status = false;
	event->slot = 0;
	event->status = 0;
	event->generation = event->session = 0;
	event->pid = 0;
	event->pool[0] = event->host[0] = event->text[0] = event->words[0] = '\0';
	return event;
}

/* False: there were so many of the kind in this minute that the event is left out. */
static bool take_quota(enum happened_kind kind)
{
	struct quota_of_kind *quota = &quotas[kind];
	const int64_t now = milliseconds(CLOCK_MONOTONIC);

	if (quota->count == 0 || now - quota->since >= MINUTE) {
		const uint32_t left_out = quota->count > HAPPENED_QUOTA ? quota->count - HAPPENED_QUOTA : 0;
		*quota = (struct quota_of_kind){.since = now};
		if (left_out > 0) {
			struct happened_event *event = add(kind);
			snprintf(event->text, sizeof event->text, "%u more such events were left out before this one", left_out);
		}
	}
	return ++quota->count <= HAPPENED_QUOTA;
}

static void fill(struct happened_event *event, const struct happened_about *about)
{
	const struct slot *slot = about->slot;
	const struct pool *pool = slot ? slot->pool : about->pool;

	if (pool || about->pool_name)
		snprintf(event->pool, sizeof event->pool, "%s", pool ? pool->name : about->pool_name);
	if (about->host)
		snprintf(event->host, sizeof event->host, "%s", about->host);
	event->session = about->session;
	event->pid = about->pid ? about->pid : slot ? slot->pid : 0;
	event->has_slot = slot != NULL;
	event->slot = slot ? slot->index : 0;
	event->generation = slot ? slot->generation : 0;
	event->has_status = about->ended;
	event->status = about->status;
	if (about->words_size > 0)
		(void)escape_text(event->words, sizeof event->words, about->words, about->words_size);
}

void happened(enum happened_kind kind, const struct happened_about *about, const char *format, ...)
{
	char text[2 * HAPPENED_TEXT];
	va_list list;

	if (!happened_is_wanted(kind) || (kinds[kind].bounded && !take_quota(kind)))
		return;
	va_start(list, format);
	(void)vsnprintf(text, sizeof text, format, list);
	va_end(list);
	struct happened_event *event = add(kind);
	if (about)
		fill(event, about);
	(void)escape_text(event->text, sizeof event->text, text, strlen(text));
}

/* ---- reading ---- */

void happened_enter(struct happened_place *place, bool with_comings)
{
	*place = (struct happened_place){.comings = with_comings};
	for (int i = EVENTS; i <= COMINGS; i++)
		place->read[i] = rings[i].count > rings[i].room ? rings[i].count - rings[i].room : 0;
	readers += with_comings;
}

void happened_leave(const struct happened_place *place)
{
	readers -= place->comings;
}

uint64_t happened_last(void)
{
	return last;
}

static bool has_more(const struct happened_place *place, int i)
{
	return (i == EVENTS || place->comings) && place->read[i] < rings[i].count;
}

bool happened_has_more(const struct happened_place *place)
{
	return has_more(place, EVENTS) || has_more(place, COMINGS);
}

/* The ring's next event. NULL: there is none. */
static const struct happened_event *head(struct happened_place *place, int i, uint64_t *lost)
{
	const struct ring *ring = &rings[i];

	if (!has_more(place, i))
		return NULL;
	if (ring->count - place->read[i] > ring->room) {
		*lost += ring->count - place->read[i] - ring->room;
		place->read[i] = ring->count - ring->room;
	}
	return &ring->events[place->read[i] % ring->room];
}

const struct happened_event *happened_next(struct happened_place *place, uint64_t *lost)
{
	const struct happened_event *event = head(place, EVENTS, lost), *coming = head(place, COMINGS, lost);
	const int i = coming && (!event || coming->number < event->number) ? COMINGS : EVENTS;

	if (!event && !coming)
		return NULL;
	place->read[i]++;
	return i == COMINGS ? coming : event;
}
