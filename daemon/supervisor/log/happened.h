/* SPDX-License-Identifier: Apache-2.0 */
/*
 * happened: what has happened in the daemon, for `objpool events`: the last HAPPENED_EVENTS events, in fixed memory. Each has a
 * number; readers keep their places, and are told how many events they have missed.
 *
 *   all events     [ 1000 ] --.
 *                              >-- happened_next, in the order of their numbers
 *   comings, goings [ 256 ] --'
 *
 * Comings and goings (connections, leases) may be many. They are recorded only while somebody reads them, and in a ring of their
 * own: so they never displace the others. Events that clients can cause as often as they like are HAPPENED_QUOTA of a kind in a
 * minute; then an event says how many were left out.
 *
 * Names and texts are escaped (proto/escape.h).
 */
#ifndef SUPERVISOR_HAPPENED_H
#define SUPERVISOR_HAPPENED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;
struct slot;

enum {
	HAPPENED_EVENTS = 1000,
	HAPPENED_COMINGS = 256,
	HAPPENED_QUOTA = 100,
	HAPPENED_TEXT = 400,
	HAPPENED_WORDS = 200,
	HAPPENED_POOL = 256,
	HAPPENED_HOST = 64,
};

enum happened_kind {
	HAPPENED_DAEMON_STARTED,
	HAPPENED_DAEMON_DRAINING,
	HAPPENED_DAEMON_STOPPING,
	HAPPENED_CONFIG_RELOADED,
	HAPPENED_CONFIG_REFUSED,
	HAPPENED_POOL_CREATED,
	HAPPENED_POOL_CHANGED,
	HAPPENED_POOL_REMOVED,
	HAPPENED_POOL_PAUSED,
	HAPPENED_POOL_RESUMED,
	HAPPENED_POOL_FULL,
	HAPPENED_TEMPLATE_STARTED,
	HAPPENED_TEMPLATE_READY,
	HAPPENED_TEMPLATE_FAILED,
	HAPPENED_TEMPLATE_DIED,
	HAPPENED_SLOT_STARTING,
	HAPPENED_SLOT_READY,
	HAPPENED_SLOT_FAILED,
	HAPPENED_SLOT_DIED,
	HAPPENED_SLOT_KILLED,
	HAPPENED_SLOT_BACKOFF,
	HAPPENED_SLOT_REPLACED,
	HAPPENED_SLOT_STOPPED,
	HAPPENED_CALL_KILLED,
	HAPPENED_LEASE_OPENED,
	HAPPENED_LEASE_RELEASED,
	HAPPENED_LEASE_BROKEN,
	HAPPENED_CLIENT_CONNECTED,
	HAPPENED_CLIENT_GONE,
	HAPPENED_CLIENT_REFUSED,
	HAPPENED_CLIENT_DENIED,
	HAPPENED_HOST_READY,
	HAPPENED_HOST_SILENT,
	HAPPENED_HOST_GONE,
	HAPPENED_BUS_CONNECTED,
	HAPPENED_BUS_LOST,
	HAPPENED_BUS_REFUSED,
	HAPPENED_GATEWAY_STARTED,
	HAPPENED_GATEWAY_DIED,
	HAPPENED_KINDS
};

struct happened_event {
	uint64_t number; /* from 1 */
	int64_t at;      /* milliseconds since 1970 */
	enum happened_kind kind;
	bool has_slot, has_status;
	uint32_t slot;
	int status;               /* how a process ended, as wait(2) has it */
	uint64_t generation;      /* 0: of no instance */
	int64_t pid;              /* 0: of no process */
	uint64_t session;         /* 0: of no client */
	char pool[HAPPENED_POOL]; /* "": of none */
	char host[HAPPENED_HOST]; /* of the cluster; "": of none */
	char text[HAPPENED_TEXT];
	char words[HAPPENED_WORDS]; /* what the process printed last on standard error; "": not known */
};

/* What an event is about. What is 0 or NULL is not known. */
struct happened_about {
	const struct pool *pool;
	const char *pool_name;   /* of a pool that is not at hand */
	const struct slot *slot; /* of its pool; its generation and pid are the event's */
	const char *host;        /* of the cluster */
	uint64_t session;
	int64_t pid;
	bool ended; /* `status` is valid */
	int status;
	const char *words; /* `words_size` bytes of anything */
	size_t words_size;
};

/* Records an event. Never blocks, allocates nothing. */
__attribute__((format(printf, 3, 4))) void happened(enum happened_kind kind, const struct happened_about *about,
						    const char *format, ...);

/* Is an event of this kind recorded now? For events that are costly to describe. */
bool happened_is_wanted(enum happened_kind kind);

const char *happened_name(enum happened_kind kind);

/* Is it about a client? Then only those see it who may see all of the daemon. */
bool happened_is_of_client(enum happened_kind kind);

/* Is it about the cluster? Who may see any event sees those, as objpool.hosts. */
bool happened_is_of_cluster(enum happened_kind kind);

/* Does the reader's word name the kind? "slot.died" names one, "slot" all that begin with "slot.". */
bool happened_is_named(enum happened_kind kind, const char *word, size_t size);

/* Is the kind a coming or going? */
bool happened_is_coming(enum happened_kind kind);

/* ---- reading ---- */

/* How far a reader has come. */
struct happened_place {
	bool comings;     /* it reads comings and goings, too */
	uint64_t read[2]; /* events that it has passed in each ring, of all that were ever recorded there */
};

/* A place before the first event that is kept. With `comings`, these are recorded until happened_leave. */
void happened_enter(struct happened_place *place, bool comings);
void happened_leave(const struct happened_place *place);

/* The next event, which is valid until another is recorded. NULL: there is none. Adds to *lost how many events were overwritten
 * before they were read. */
const struct happened_event *happened_next(struct happened_place *place, uint64_t *lost);

/* Is there an event that was not read? */
bool happened_has_more(const struct happened_place *place);

/* The number of the newest event; 0: there is none. */
uint64_t happened_last(void);

#endif
