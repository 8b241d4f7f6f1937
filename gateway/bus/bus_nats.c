/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_nats: the engine on NATS core, by libnats (https://github.com/nats-io/nats.c). The library reads and writes its socket when
 * this loop tells it to, and messages are taken from its queues in the same turn: no thread stands between the socket and the
 * loop. Only its connecting and its words come in threads of its own. These leave notes under a lock, and wake the
 * loop.
 */
#include "gateway/bus/bus.h"
#include "gateway/bus/nats_advisory.h"
#include "gateway/bus/nats_options.h"
#include "proto/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

enum {
	TAKE_IN_TURN = 1024,        /* messages that are taken in a turn of the loop */
	MAX_UNSENT = 32 << 20,      /* bytes that may wait to be sent */
	ROOM = 128 << 10,           /* so many bytes are sent at once; the library moves what is left over, each time */
	MAX_WAITING = 64 << 20,     /* bytes that may wait to be taken, for each subscription */
	MAX_WAITING_MESSAGES = 1 << 18,
	SPENT = 256,                /* messages that are given back at once, at most */
	MAX_SPENT = 4 << 20,        /* bytes of these */
	SOON_MS = 10,               /* after a connection has broken */
	AGAIN_MS = 250,             /* after a failure */
	JITTER_MS = 150,            /* up to so many more, so that hosts don't come all at once */
	DEFAULT_MAX_MESSAGE = 1 << 20,
	WORD = 256,
};

/* Between two reasons of not being connected, when they differ: several servers may have one each. */
#define REASONS_EVERY (5 * INT64_C(1000000000))

struct subscription {
	SLIST_ENTRY(subscription) link;
	natsSubscription *nats; /* NULL: not in force */
	void *context;
	int64_t dropped;        /* that have been told of */
	const char *group;      /* NULL: none */
	char pattern[];         /* and behind it the group */
};

/* What threads of the library leave for the loop. */
struct notes {
	bool tried;    /* the attempt to connect is over: `made` is its connection */
	natsConnection *made;
	bool up;       /* as of now */
	bool changed;  /* `up` has been written */
	bool closed;   /* the library has given the connection up */
	char why[WORD];  /* the last reason of not being up; "": none */
	char said[WORD]; /* the last error of another kind; "": none */
};

struct bus {
	struct event_base *base;
	const struct bus_events *events;
	void *owner;
	struct bus_options *wanted; /* a copy */
	natsOptions *options;   /* of the last time that the files of `wanted` could be used */
	bool complained;        /* since then, that they can't */
	natsConnection *nats;   /* NULL: none has been made. While `trying`, the attempt's: it writes what on_attach does */
	pthread_t loop;         /* the loop's thread */
	pthread_t attempt;      /* runs connect_main, if `trying` */
	bool trying;
	bool closing;           /* the owner has closed it: it is freed when the attempt is over */
	bool up;                /* as the owner was told */
	uint64_t ups;           /* how often */
	char told_why[WORD];    /* the last reason that the owner was told since it was last up; "": none */
	int64_t told_at;
	bool wants_write;       /* bytes wait, and `flush` is to send them */
	bool waits;             /* for the socket: `write` is added */
	struct event *read, *write; /* NULL: not attached. They are made in the library's threads, while the loop isn't told */
	struct event *wake, *again;
	SLIST_HEAD(, subscription) subscriptions;
	struct bus_counts past; /* of connections and subscriptions that are gone */
	natsMsg *spent[SPENT];  /* handed over, and not yet given back */
	unsigned spent_count;
	size_t spent_bytes;
	pthread_mutex_t lock;   /* of `notes` */
	pthread_cond_t gone;    /* notes.closed has been written */
	struct notes notes;
};

/* ---- notes of the library's threads ---- */

static void copy_word(char word[WORD], const char *text)
{
	snprintf(word, WORD, "%s", text && *text ? text : "no reason given");
}

static const char *last_error(natsConnection *nats)
{
	const char *text = NULL;

	return nats && natsConnection_GetLastError(nats, &text) != NATS_OK && text && *text ? text : NULL;
}

static void on_disconnected(natsConnection *nats, void *closure)
{
	struct bus *bus = closure;
	const char *why = last_error(nats);

	pthread_mutex_lock(&bus->lock);
	bus->notes.up = false;
	bus->notes.changed = true;
	copy_word(bus->notes.why, why ? why : "the server has closed the connection");
	pthread_mutex_unlock(&bus->lock);
	event_active(bus->wake, 0, 0);
}

static void on_closed(natsConnection *nats, void *closure)
{
	struct bus *bus = closure;

	pthread_mutex_lock(&bus->lock);
	bus->notes.up = false;
	bus->notes.changed = bus->notes.closed = true;
	copy_word(bus->notes.why, last_error(nats));
	event_active(bus->wake, 0, 0);
	pthread_cond_signal(&bus->gone);
	pthread_mutex_unlock(&bus->lock); /* the library's last call: `bus` may be freed now */
}

static void on_error(natsConnection *nats, natsSubscription *subscription, natsStatus status, void *closure)
{
	struct bus *bus = closure;
	const char *text = last_error(nats);

	(void)subscription;
	if (status == NATS_SLOW_CONSUMER)
		return; /* counted, and told by the counts */
	pthread_mutex_lock(&bus->lock);
	copy_word(bus->notes.said, text ? text : natsStatus_GetText(status));
	pthread_mutex_unlock(&bus->lock);
	event_active(bus->wake, 0, 0);
}

/* ---- the socket ---- */

static void take(struct bus *bus);

static void on_socket(evutil_socket_t fd, short what, void *context)
{
	struct bus *bus = context;

	(void)fd;
	if (what & EV_READ) {
		natsConnection_ProcessReadEvent(bus->nats);
		take(bus);
	}
	if (what & EV_WRITE)
		natsConnection_ProcessWriteEvent(bus->nats);
}

static void detach_events(struct bus *bus)
{
	if (bus->read)
		event_free(bus->read);
	if (bus->write)
		event_free(bus->write);
	bus->read = bus->write = NULL;
	bus->wants_write = bus->waits = false;
}

/* The four calls of natsOptions_SetEventLoop. The library holds its connection's lock meanwhile. */
static natsStatus on_attach(void **data, void *loop, natsConnection *nats, natsSock socket)
{
	struct bus *bus = loop; /* what was given as the loop */

	detach_events(bus);
	bus->nats = nats; /* the attempt is not over, but bytes may come */
	bus->read = event_new(bus->base, socket, EV_READ | EV_PERSIST, on_socket, bus);
	bus->write = event_new(bus->base, socket, EV_WRITE | EV_PERSIST, on_socket, bus);
	*data = bus;
	if (bus->read && bus->write && event_add(bus->read, NULL) == 0)
		return NATS_OK;
	detach_events(bus);
	return NATS_NO_MEMORY;
}

static natsStatus on_want_read(void *data, bool add)
{
	struct bus *bus = data;
	const int r = add ? event_add(bus->read, NULL) : event_del_noblock(bus->read);

	return r == 0 ? NATS_OK : NATS_ERR;
}

/* In the loop's thread it is only noted: `flush` follows, and mostly sends all without asking the kernel when it may. */
static natsStatus on_want_write(void *data, bool add)
{
	struct bus *bus = data;
	int r = 0;

	if (add && pthread_equal(pthread_self(), bus->loop)) {
		bus->wants_write = true;
		return NATS_OK;
	}
	if (!add)
		bus->wants_write = false;
	if (add != bus->waits)
		r = add ? event_add(bus->write, NULL) : event_del_noblock(bus->write);
	bus->waits = add;
	return r == 0 ? NATS_OK : NATS_ERR;
}

static natsStatus on_detach(void *data)
{
	detach_events(data);
	return NATS_OK;
}

static void flush(struct bus *bus)
{
	if (bus->trying || !bus->wants_write || bus->waits || !bus->nats)
		return; /* on_wake flushes when the attempt is over */
	natsConnection_ProcessWriteEvent(bus->nats); /* clears wants_write when all is sent */
	if (!bus->wants_write || !bus->write)
		return;
	bus->wants_write = false;
	bus->waits = event_add(bus->write, NULL) == 0;
}

/* ---- messages ---- */

static void give_back(struct bus *bus)
{
	for (unsigned i = 0; i < bus->spent_count; i++)
		natsMsg_Destroy(bus->spent[i]);
	bus->spent_count = 0;
	bus->spent_bytes = 0;
}

/* The library frees messages in a thread of its own, and wakes it whenever it has none to free. So they are given back many
 * at once: not a thread for each call. */
static void spend(struct bus *bus, natsMsg *msg)
{
	bus->spent[bus->spent_count++] = msg;
	bus->spent_bytes += (size_t)natsMsg_GetDataLength(msg);
	if (bus->spent_count == SPENT || bus->spent_bytes > MAX_SPENT)
		give_back(bus);
}

/* The context of the engine's own subscription. */
static char disconnects;

static void tell_left(struct bus *bus, struct span advisory)
{
	char name[NATS_ADVISORY_NAME];

	if (nats_advisory_read(advisory, name) == 0)
		bus->events->left(bus->owner, name);
}

static void hand_over(struct bus *bus, const struct subscription *subscription, natsMsg *msg)
{
	const char *subject = natsMsg_GetSubject(msg);
	const struct bus_message message = {
		.context = subscription->context,
		.subject = {.bytes = (const uint8_t *)subject, .size = strlen(subject)},
		.subject_text = subject,
		.bytes = {.bytes = (const uint8_t *)natsMsg_GetData(msg), .size = (size_t)natsMsg_GetDataLength(msg)},
		.reply = natsMsg_GetReply(msg),
		.carrier = msg,
	};

	if (message.context == &disconnects)
		tell_left(bus, message.bytes);
	else
		bus->events->message(bus->owner, &message);
	spend(bus, msg);
}

/* Asking for a message where there is none is dear: the library writes an error for people. */
static uint64_t waiting(const struct subscription *subscription)
{
	uint64_t count = 0;

	return subscription->nats && natsSubscription_QueuedMsgs(subscription->nats, &count) == NATS_OK ? count : 0;
}

/* Takes what the library has read. What is left over comes in the next turn. */
static void take(struct bus *bus)
{
	struct subscription *subscription;
	unsigned taken = 0;
	natsMsg *msg;

	SLIST_FOREACH(subscription, &bus->subscriptions, link)
		for (uint64_t count = waiting(subscription); count > 0; count--) {
			if (natsSubscription_NextMsg(&msg, subscription->nats, 0) != NATS_OK)
				continue;
			hand_over(bus, subscription, msg);
			if (++taken == TAKE_IN_TURN) {
				event_active(bus->wake, 0, 0);
				return;
			}
		}
}

static int put_in_force(struct bus *bus, struct subscription *subscription)
{
	natsStatus status = subscription->group
				    ? natsConnection_QueueSubscribeSync(&subscription->nats, bus->nats, subscription->pattern,
									subscription->group)
				    : natsConnection_SubscribeSync(&subscription->nats, bus->nats, subscription->pattern);

	if (status == NATS_OK)
		status = natsSubscription_SetPendingLimits(subscription->nats, MAX_WAITING_MESSAGES, MAX_WAITING);
	return status == NATS_OK ? 0 : status == NATS_NO_MEMORY ? -ENOMEM : -EINVAL;
}

static int subscribe(struct bus *bus, const char *pattern, const char *group, void *context)
{
	const size_t size = strlen(pattern) + 1, more = group ? strlen(group) + 1 : 0;
	struct subscription *subscription = calloc(1, sizeof *subscription + size + more);

	if (!subscription)
		return -ENOMEM;
	memcpy(subscription->pattern, pattern, size);
	if (group)
		subscription->group = memcpy(subscription->pattern + size, group, more);
	subscription->context = context;
	SLIST_INSERT_HEAD(&bus->subscriptions, subscription, link);
	return !bus->trying && bus->nats ? put_in_force(bus, subscription) : 0;
}

static uint64_t dropped_by(const struct subscription *subscription)
{
	int64_t dropped = 0;

	return subscription->nats && natsSubscription_GetDropped(subscription->nats, &dropped) == NATS_OK && dropped > 0
		       ? (uint64_t)dropped
		       : 0;
}

static void unsubscribe(struct bus *bus, const char *pattern, const void *context)
{
	struct subscription *subscription;

	SLIST_FOREACH(subscription, &bus->subscriptions, link)
		if (subscription->context == context && strcmp(subscription->pattern, pattern) == 0)
			break;
	if (!subscription)
		return;
	SLIST_REMOVE(&bus->subscriptions, subscription, subscription, link);
	bus->past.dropped += dropped_by(subscription);
	natsSubscription_Destroy(subscription->nats); /* and tells the server */
	free(subscription);
}

static const char *find_header(const struct bus_message *message, const char *name)
{
	const char **keys = NULL, *value = NULL;
	int count = 0;

	if (natsMsgHeader_Keys(message->carrier, &keys, &count) != NATS_OK)
		return NULL;
	for (int i = 0; i < count && !value; i++)
		if (strcasecmp(keys[i], name) == 0 && natsMsgHeader_Get(message->carrier, keys[i], &value) != NATS_OK)
			value = NULL;
	free(keys);
	return value;
}

/* 0, if a message of that size can be sent now. */
static int check_sending(struct bus *bus, size_t size)
{
	if (!bus->up)
		return -ENOTCONN;
	if (size > (size_t)natsConnection_GetMaxPayload(bus->nats))
		return -EMSGSIZE;
	return natsConnection_Buffered(bus->nats) > MAX_UNSENT ? -EAGAIN : 0;
}

static int result_of(natsStatus status)
{
	return status == NATS_OK ? 0 : status == NATS_NO_MEMORY ? -EAGAIN : -ENOTCONN;
}

static int publish(struct bus *bus, const char *subject, const char *reply, struct span bytes)
{
	const int r = check_sending(bus, bytes.size);

	if (r < 0)
		return r;
	return result_of(reply ? natsConnection_PublishRequest(bus->nats, subject, reply, bytes.bytes, (int)bytes.size)
			       : natsConnection_Publish(bus->nats, subject, bytes.bytes, (int)bytes.size));
}

/* "NATS/1.0", and "NAME: VALUE" for each, with ends of lines: the server counts them, too. */
static size_t size_of(const struct bus_header *headers, unsigned count)
{
	size_t size = count > 0 ? sizeof "NATS/1.0\r\n\r\n" - 1 : 0;

	for (unsigned i = 0; i < count; i++)
		size += strlen(headers[i].name) + strlen(headers[i].value) + sizeof ": \r\n" - 1;
	return size;
}

static int publish_with(struct bus *bus, const char *subject, struct span bytes, const struct bus_header *headers, unsigned count)
{
	const int r = check_sending(bus, bytes.size + size_of(headers, count));
	natsMsg *msg = NULL;

	if (r < 0)
		return r;
	natsStatus status = natsMsg_Create(&msg, subject, NULL, (const char *)bytes.bytes, (int)bytes.size);
	for (unsigned i = 0; status == NATS_OK && i < count; i++)
		status = natsMsgHeader_Set(msg, headers[i].name, headers[i].value);
	if (status == NATS_OK)
		status = natsConnection_PublishMsg(bus->nats, msg);
	natsMsg_Destroy(msg);
	return result_of(status);
}

/* ---- options ---- */

static natsStatus set_callbacks(natsOptions *to, struct bus *bus)
{
	natsStatus status = natsOptions_SetEventLoop(to, bus, on_attach, on_want_read, on_want_write, on_detach);

	if (status == NATS_OK)
		status = natsOptions_SetDisconnectedCB(to, on_disconnected, bus);
	if (status == NATS_OK)
		status = natsOptions_SetClosedCB(to, on_closed, bus);
	if (status == NATS_OK)
		status = natsOptions_SetErrorHandler(to, on_error, bus);
	return status;
}

static natsOptions *make_options(struct bus *bus, char *reason, size_t size)
{
	natsOptions *options = nats_options_make(bus->wanted, reason, size);

	if (!options || set_callbacks(options, bus) == NATS_OK)
		return options;
	natsOptions_Destroy(options);
	snprintf(reason, size, "out of memory");
	return NULL;
}

/* ---- the connection ---- */

/* Why the library has made no connection, without its own file and line in front. */
static const char *reason_of(natsStatus status)
{
	const char *text = nats_GetLastError(NULL), *after = text ? strstr(text, "): ") : NULL;

	if (status == NATS_NO_SERVER)
		return "no NATS server answers: none runs there, its name is not known, or this service may not reach it";
	if (!text || !*text)
		return natsStatus_GetText(status);
	if (strstr(text, "Expected 'PONG'"))
		return "the server has closed the connection: it doesn't let this host in (its users, certificates, TLS)";
	return *text == '(' && after ? after + 3 : text;
}

/* A thread: it may wait for servers that don't answer. */
static void *connect_main(void *context)
{
	struct bus *bus = context;
	natsConnection *nats = NULL;
	const natsStatus status = natsConnection_Connect(&nats, bus->options);

	pthread_mutex_lock(&bus->lock);
	bus->notes.tried = true;
	bus->notes.made = nats;
	bus->notes.changed = true;
	bus->notes.up = status == NATS_OK && !bus->notes.closed;
	if (status != NATS_OK)
		copy_word(bus->notes.why, reason_of(status));
	pthread_mutex_unlock(&bus->lock);
	event_active(bus->wake, 0, 0);
	return NULL;
}

/*
 * The library's own reconnection is not used: of a message that was cut off when a connection broke, libnats 3.4.1 takes the
 * missing bytes from the next one. A new connection has a parser of its own.
 */
static void connect_later(struct bus *bus, int after_ms)
{
	const int ms = after_ms + (int)(nats_NowInNanoSeconds() / 1000 % JITTER_MS);
	const struct timeval wait = {.tv_usec = ms * 1000};

	(void)evtimer_add(bus->again, &wait);
}

static void tell_down(struct bus *bus, const char *why)
{
	const bool known = bus->told_why[0] != '\0';

	bus->up = false;
	if (known && (strcmp(why, bus->told_why) == 0 || clock_now() - bus->told_at < REASONS_EVERY))
		return;
	copy_word(bus->told_why, why);
	bus->told_at = clock_now();
	bus->events->down(bus->owner, why);
}

/* Files may have come, or been renewed. One that can't be used costs no connection: it may be half written. */
static void read_files(struct bus *bus)
{
	char reason[WORD], said[2 * WORD];
	natsOptions *options = make_options(bus, reason, sizeof reason);

	if (options) {
		natsOptions_Destroy(bus->options);
		bus->options = options;
	} else if (!bus->options) {
		tell_down(bus, reason);
	} else if (!bus->complained) {
		snprintf(said, sizeof said, "%s: what the files had before is used", reason);
		bus->events->said(bus->owner, said);
	}
	bus->complained = !options;
}

static void try_to_connect(struct bus *bus)
{
	const int r = pthread_create(&bus->attempt, NULL, connect_main, bus);

	bus->trying = r == 0;
	if (r != 0) {
		bus->events->down(bus->owner, strerror(r));
		connect_later(bus, AGAIN_MS);
	}
}

static void on_again(evutil_socket_t fd, short what, void *context)
{
	struct bus *bus = context;

	(void)fd;
	(void)what;
	read_files(bus);
	if (bus->options)
		try_to_connect(bus);
	else
		connect_later(bus, AGAIN_MS);
}

/* The library calls on_closed when it will call nothing more. */
static void wait_until_closed(struct bus *bus)
{
	natsConnection_Close(bus->nats);
	pthread_mutex_lock(&bus->lock);
	while (!bus->notes.closed)
		pthread_cond_wait(&bus->gone, &bus->lock);
	pthread_mutex_unlock(&bus->lock);
}

/* Adds what the connection of now has counted. */
static void add_counts(const struct bus *bus, struct bus_counts *counts)
{
	const struct subscription *subscription;
	natsStatistics *statistics = NULL;
	uint64_t in = 0, in_bytes = 0, out = 0, out_bytes = 0;

	SLIST_FOREACH(subscription, &bus->subscriptions, link)
		counts->dropped += dropped_by(subscription);
	if (!bus->trying && bus->nats && natsStatistics_Create(&statistics) == NATS_OK &&
	    natsConnection_GetStats(bus->nats, statistics) == NATS_OK &&
	    natsStatistics_GetCounts(statistics, &in, &in_bytes, &out, &out_bytes, NULL) == NATS_OK) {
		counts->in += in;
		counts->in_bytes += in_bytes;
		counts->out += out;
		counts->out_bytes += out_bytes;
	}
	natsStatistics_Destroy(statistics);
}

static void read_counts(const struct bus *bus, struct bus_counts *counts)
{
	*counts = bus->past;
	counts->reconnects = bus->ups > 0 ? bus->ups - 1 : 0;
	add_counts(bus, counts);
}

/* It has been closed. */
static void forget_connection(struct bus *bus)
{
	struct subscription *subscription;

	add_counts(bus, &bus->past);
	SLIST_FOREACH(subscription, &bus->subscriptions, link)
	{
		natsSubscription_Destroy(subscription->nats);
		subscription->nats = NULL;
	}
	natsConnection_Destroy(bus->nats);
	bus->nats = NULL;
}

static void on_tried(struct bus *bus, const struct notes *notes)
{
	struct subscription *subscription;

	pthread_join(bus->attempt, NULL);
	bus->trying = false;
	bus->nats = notes->made;
	if (!notes->made) {
		connect_later(bus, AGAIN_MS);
		return;
	}
	SLIST_FOREACH(subscription, &bus->subscriptions, link)
		if (notes->up && put_in_force(bus, subscription) < 0)
			bus->events->said(bus->owner, "a subscription was refused by the library");
}

static void tell_state(struct bus *bus, const struct notes *notes)
{
	char server[WORD] = "";

	if (notes->up && bus->nats && !bus->up) {
		(void)natsConnection_GetConnectedUrl(bus->nats, server, sizeof server);
		bus->up = true;
		bus->ups++;
		bus->told_why[0] = '\0';
		bus->events->up(bus->owner, server);
	} else if (!notes->up) {
		tell_down(bus, notes->why);
	}
}

/* No attempt is under way. */
static void free_bus(struct bus *bus)
{
	struct subscription *subscription;

	if (bus->nats) {
		wait_until_closed(bus);
		forget_connection(bus);
	}
	give_back(bus);
	while ((subscription = SLIST_FIRST(&bus->subscriptions))) {
		SLIST_REMOVE_HEAD(&bus->subscriptions, link);
		free(subscription);
	}
	natsOptions_Destroy(bus->options);
	bus->wanted = nats_options_free_copy(bus->wanted);
	detach_events(bus);
	if (bus->wake)
		event_free(bus->wake);
	if (bus->again)
		event_free(bus->again);
	pthread_cond_destroy(&bus->gone);
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}

/* The last act of a bus whose owner has closed it: nothing is told any more. */
static void end_attempt(struct bus *bus)
{
	pthread_mutex_lock(&bus->lock);
	const struct notes notes = bus->notes;
	pthread_mutex_unlock(&bus->lock);
	if (!notes.tried)
		return;
	pthread_join(bus->attempt, NULL);
	bus->nats = notes.made;
	free_bus(bus);
}

/* Acts on what the library's threads have left. */
static void on_wake(evutil_socket_t fd, short what, void *context)
{
	struct bus *bus = context;

	(void)fd;
	(void)what;
	if (bus->closing) {
		end_attempt(bus);
		return;
	}
	pthread_mutex_lock(&bus->lock);
	const struct notes notes = bus->notes;
	bus->notes.tried = bus->notes.changed = false;
	bus->notes.closed = notes.closed && bus->trying && !notes.tried; /* acted upon when the attempt is over */
	bus->notes.said[0] = '\0';
	pthread_mutex_unlock(&bus->lock);
	if (notes.tried)
		on_tried(bus, &notes);
	if (notes.said[0])
		bus->events->said(bus->owner, notes.said);
	if (notes.changed && !bus->trying)
		tell_state(bus, &notes);
	if (notes.closed && !bus->trying && bus->nats) {
		forget_connection(bus);
		connect_later(bus, SOON_MS);
	}
	take(bus);
	flush(bus);
}

static size_t max_message(const struct bus *bus)
{
	const int64_t max = bus->up && bus->nats ? natsConnection_GetMaxPayload(bus->nats) : 0;

	return max > 0 ? (size_t)max : DEFAULT_MAX_MESSAGE;
}

static size_t unsent(const struct bus *bus)
{
	const int bytes = bus->up && bus->nats ? natsConnection_Buffered(bus->nats) : 0;

	return bytes > 0 ? (size_t)bytes : 0;
}

static bool has_room(struct bus *bus)
{
	if (unsent(bus) < ROOM)
		return true;
	flush(bus);
	return unsent(bus) < ROOM;
}

/* An attempt may wait long for servers that do not answer: the loop does not wait for it. */
static bool close_bus(struct bus *bus)
{
	if (!bus)
		return true;
	const bool waits = bus->trying;
	bus->closing = waits;
	if (!waits)
		free_bus(bus);
	return !waits;
}

/* ---- begin ---- */

static struct bus *open_bus(const struct bus_options *options, struct event_base *base, const struct bus_events *events,
			    void *owner, char *reason, size_t size)
{
	struct bus *bus = calloc(1, sizeof *bus);

	snprintf(reason, size, "out of memory");
	if (!bus)
		return NULL;
	*bus = (struct bus){.base = base, .events = events, .owner = owner, .loop = pthread_self()};
	pthread_mutex_init(&bus->lock, NULL);
	pthread_cond_init(&bus->gone, NULL);
	bus->wake = event_new(base, -1, EV_PERSIST, on_wake, bus);
	bus->again = evtimer_new(base, on_again, bus);
	bus->wanted = nats_options_copy(options);
	if (bus->wake && bus->again && bus->wanted && subscribe(bus, NATS_DISCONNECTS, NULL, &disconnects) == 0) {
		event_active(bus->again, 0, 0);
		return bus;
	}
	free_bus(bus);
	return NULL;
}

const struct bus_engine bus_nats = {
	.open = open_bus,
	.subscribe = subscribe,
	.unsubscribe = unsubscribe,
	.publish = publish,
	.publish_with = publish_with,
	.header = find_header,
	.flush = flush,
	.max_message = max_message,
	.unsent = unsent,
	.has_room = has_room,
	.counts = read_counts,
	.close = close_bus,
};
