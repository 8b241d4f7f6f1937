/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base: what all files of the gateway's core share: the clock, the timers, the memory, the queue to the supervisor; and what the
 * core asks of the program around it. The core knows no socket, no clock, no thread and no bus, so that a simulation can drive
 * several of them through any order of events. gateway.h has the events.
 */
#ifndef GATEWAY_BASE_H
#define GATEWAY_BASE_H

#include "daemon/core/base/error.h"
#include "daemon/core/base/idmap.h"
#include "proto/gateway_link.h"
#include "proto/timers.h"

#include <sys/queue.h>
#include <syslog.h>

enum {
	GATEWAY_PACKET = 32 << 10,       /* bytes in a packet; less, if the bus takes less */
	GATEWAY_MESSAGE_MAX = 256 << 20, /* bytes in a message of a client, or in an answer; CONFIG may say less */
};

struct gateway;
struct local;
struct channel;
struct conduit;
TAILQ_HEAD(conduit_list, conduit);
struct conduit_ops;
struct sticky;

/* What the core asks of the program around it. These functions must not call into the core. */
struct gateway_ops {
	/* Publishes to one host (subject objpool.DOMAIN.to.HOST.SELF). 0 or a negative errno: then the packet counts as lost. */
	int (*publish)(struct gateway *gateway, const char *host, const void *bytes, size_t size);
	/* Publishes to all hosts (subject objpool.DOMAIN.beat.SELF). Likewise. */
	int (*publish_beat)(struct gateway *gateway, const void *bytes, size_t size);
	/* Asked before each new packet with frames: false while much that was published is not sent. The program ends a turn when
	 * that has changed. */
	bool (*has_room)(struct gateway *gateway);
	/* gateway->to_supervisor has become non-empty. */
	void (*supervisor_wrote)(struct gateway *gateway);
	/* Opens a session of the own daemon for local->host and local->user: makes a socketpair, and writes SESSION with one end
	 * to gateway->to_supervisor. 0 or a negative errno: the core then gives up the session without local_close. */
	int (*local_open)(struct local *local);
	/* local->out has become non-empty. */
	void (*local_wrote)(struct local *local);
	/* local->reads has changed. */
	void (*local_reads)(struct local *local);
	/* The core is done with the session. What is still in local->out must be written first, then the socket is closed, and
	 * local_free is called. gateway_on_local_gone and the other events of this session must not come any more. */
	void (*local_close)(struct local *local);
};

/* A session of the own daemon that the gateway holds for somebody: a session of another host, or of the own host's client. Made
 * by the core; freed with local_free by the program around it, after local_close or gateway_on_local_gone. */
struct local {
	struct gateway *gateway;
	uint64_t number;
	char *host; /* the other host; NULL: the own one, and then sid is the client's session. Owned */
	char *user; /* of that host; "-": the client is no user. Owned */
	uint64_t sid;
	struct sendq out;            /* bytes for the daemon: whole and partial MessagePack-RPC messages */
	bool reads;                  /* the socket may be read */
	void *owner;                 /* the program's side of it */
	const struct local_ops *ops; /* the core's: who uses it. NULL: nobody any more */
	void *user_side;
};

struct local *local_free(struct local *local);

enum gateway_state { GATEWAY_CONNECTING, GATEWAY_LISTENING, GATEWAY_SERVING, GATEWAY_REFUSED, GATEWAY_DRAINING };

/* What the program around the core counts of the bus. It changes these; HOSTS tells them. */
struct gateway_bus_counts {
	uint64_t reconnects, slow, in_bytes, out_bytes, in_messages, out_messages;
};

/* Embedded in what may end in the middle of a turn: it is freed when the turn is over. */
struct gateway_ending {
	struct gateway_ending *next;
	void (*reap)(struct gateway_ending *ending); /* frees it; it must not look at others that have ended */
	bool listed;
};

struct gateway {
	uint64_t now; /* CLOCK_MONOTONIC nanoseconds; the owner moves it before each event */
	struct timers timers;
	const struct gateway_ops *ops;
	void *owner;
	struct account memory; /* what the core holds for all; memory.limit is set from CONFIG */
	struct account others; /* below it: what of that is for other hosts. Each has its account below this one */
	uint64_t max_sessions; /* of other hosts, all together; from CONFIG */
	uint64_t random;       /* state of gateway_random */
	uint64_t incarnation;  /* of this process: random, never 0 */
	uint64_t started;
	uint64_t daemon_heard; /* when the own daemon last sent something, also a part of a message: gateway_hears_daemon */
	char name[GATEWAY_NAME_MAX + 1]; /* this host; "" before CONFIG */
	enum gateway_state state;
	size_t packet_max; /* bytes in a packet on this bus */
	struct sendq to_supervisor;
	uint64_t last_number;           /* of a local session */
	struct hosts *hosts;            /* hosts.h */
	TAILQ_HEAD(, sticky) stickies;  /* sticky.h */
	bool sticky_owed;        /* a host that is there has lost a sticky call */
	uint32_t sticky_count, replays; /* replays: hosts that are being sent sticky calls */
	size_t sticky_bytes;
	struct clients *clients;                                /* session.h: the clients of this daemon that call other hosts */
	const struct conduit_ops *conduit_ops;                  /* channel.c's */
	const char *(*channel_opened)(struct channel *channel); /* serve.c's: see channels_open */
	struct conduit_list dirty; /* conduits that may have something to send at the end of the turn */
	struct conduit_list stuck; /* conduits with something to send, when the bus has room */
	uint64_t promised;     /* bytes of the windows of channels that were opened here, and are wider than at first */
	uint64_t others_promised; /* the same of channels that other hosts have opened */
	struct gateway_ending *endings;
	struct gateway_bus_counts bus;
	uint64_t max_message;
	bool ending; /* gateway_free has been called */
	bool bus_is_up;
	char bus_text[200]; /* where the bus is, or why not */
	bool beats_refused; /* the bus lets this host send no beats */
	char unknown[GATEWAY_NAME_MAX + 1]; /* the name in the last error about an unknown host: see struct error's `host` */
	uint64_t late;      /* packets and beats that nobody waits for any more */
	uint32_t served;    /* sessions that are held for other hosts */
	size_t told;        /* bytes of HOSTS and LOG in to_supervisor since it was empty: they have a limit */
};

/* Calls ending->reap at the end of the turn, once however often it is called. */
static inline void gateway_end(struct gateway *gateway, struct gateway_ending *ending)
{
	if (ending->listed)
		return;
	ending->listed = true;
	ending->next = gateway->endings;
	gateway->endings = ending;
}

/* A moment, later by a time in which the process stood still; none is in the future, also when this is done twice. */
static inline uint64_t gateway_later(const struct gateway *gateway, uint64_t moment, uint64_t time)
{
	return moment + time < gateway->now ? moment + time : gateway->now;
}

/* Is there room for more of the own daemon? Else it is not read. Calls are refused long before: session_is_greedy. */
static inline bool gateway_wants_more(const struct gateway *gateway)
{
	return gateway->memory.used - gateway->others.used < 4 * gateway->memory.limit;
}

/* Something has come from the own daemon. */
static inline void gateway_hears_daemon(struct gateway *gateway)
{
	gateway->daemon_heard = gateway->now;
}

/* A random number; the sequence depends on the seed alone. */
uint64_t gateway_random(struct gateway *gateway);

/* Writes LOG to the supervisor. Levels: LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG. */
__attribute__((format(printf, 3, 4))) void gateway_log(struct gateway *gateway, int level, const char *format, ...);

/* May HOSTS or LOG be added? A daemon that does not read is not told for ever. */
static inline bool gateway_may_tell(const struct gateway *gateway)
{
	return gateway->told < GATEWAY_AHEAD || gateway->to_supervisor.bytes == 0;
}

/* After something was written to to_supervisor: tells the program around the core if the queue was empty before. */
void gateway_supervisor_wrote(struct gateway *gateway, size_t bytes_before);

#endif
