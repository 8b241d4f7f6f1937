/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts: who is there. Each host says so every 400 ms, in a beat to all: its incarnation, its age, and its shared pools with
 * their load. A host's name is the subject's, which the bus vouches for; a beat does not repeat it.
 *
 *              a beat                    900 ms without one             2 s without one, or a goodbye
 *   (unknown) --------> READY ------------------------------> SILENT -------------------------------> GONE
 *                         ^------------- a beat ----------------'                                       |
 *                         '------------------------------- a beat --------------------------------------'
 *
 * A bus may tell that a host's connection has ended (hosts_on_disconnect). Then the host is silent at once, and gone if no beat
 * of it comes within 500 ms: it may be about to connect anew, and who told it may be mistaken.
 *
 * A gateway whose daemon does not speak says so in its beats, and for how long. The host is silent then, and gone when that is
 * two seconds, as if it had not been heard since.
 *
 * A silent host gets no new calls; what it owes may still come. When it is gone, all that it owes ends (hosts->gone). Another
 * incarnation of a name is taken for the host's successor once the host is silent, and not before: as long as both are heard, it
 * is a second host of that name, and the first counts. One that has said goodbye does not come back.
 *
 * The gateway itself listens for a second before its first beat. If it hears its own name, from another incarnation that is
 * older, it refuses to serve until that is silent. No clock of a host is compared with another's: an age is how long ago, by its
 * own clock.
 */
#ifndef GATEWAY_HOSTS_H
#define GATEWAY_HOSTS_H

#include "gateway/core/host_pools.h"
#include "gateway/core/rival.h"

#define HOST_BEAT         (400 * MILLISECOND)
#define HOST_SILENT_AFTER (900 * MILLISECOND)
#define HOST_GONE_AFTER   (2 * SECOND)
#define HOST_SUSPECT      (500 * MILLISECOND)
#define HOST_LISTEN       SECOND
#define HOST_DAEMON_QUIET (750 * MILLISECOND) /* then a host's daemon is taken for frozen */

enum {
	HOSTS_MAX = 1024,      /* names that are remembered; for another one, the host is forgotten that is gone longest */
	HOST_BEFORE = 16,      /* incarnations that are remembered */
	HOST_LINES = 20,       /* about a host, in a minute */
	HOSTS_FORGOTTEN = 4096, /* incarnations of hosts that are forgotten, and yet their epochs are not used twice */
};

/* An earlier incarnation of a host's name. It may come back: a host that stood still, while another one took its name. */
struct host_before {
	uint64_t incarnation;
	uint64_t next_epoch; /* of a conduit with it: epochs are not used twice */
	bool over;           /* it has said goodbye: it does not come back */
};

/* The other side may not have forgotten: an idle conduit of it lives on while it stands still, or is not heard here. */
struct forgotten {
	uint64_t incarnation, next_epoch;
};

enum host_state { HOST_READY, HOST_SILENT, HOST_GONE };

struct conduit;

struct host {
	TAILQ_ENTRY(host) entry;
	struct hosts *hosts;
	char name[GATEWAY_NAME_MAX + 1];
	bool self; /* this host: always READY, without a conduit */
	enum host_state state;
	uint64_t since; /* it is in this state */
	uint64_t heard, first_heard;
	uint64_t suspected; /* when the bus told that it has disconnected; 0: not since it was heard */
	uint64_t incarnation;
	struct host_before before[HOST_BEFORE];
	unsigned before_at;
	uint64_t beat; /* number of the last */
	struct host_pools pools;
	struct timer watch;
	struct conduit *conduit; /* conduit.h; NULL: none */
	uint64_t next_epoch;     /* of the next conduit */
	uint64_t replayed;       /* when it was last sent sticky calls */
	bool replays;            /* it is being sent sticky calls: see sticky_comes_first */
	unsigned replay_fails;   /* so often in a row it has not taken them; 0: none is due */
	uint32_t users;          /* who holds a pointer to the host */
	struct account *memory;  /* what is held for the host, and for its sessions here */
	uint32_t sessions;       /* that it has here */
	uint64_t promised;       /* bytes of the windows of these that are wider than at first */
	uint64_t rtt;            /* nanoseconds; 0: not known */
	uint32_t unanswered;     /* own calls that it owes an answer */
	uint64_t took;           /* nanoseconds, by and by, that own calls of any instance have taken there; 0: not known */
	uint64_t calls, lost, late, duplicates, resent;
	uint64_t lines_since;    /* see host_may_log */
	uint32_t lines;
};

TAILQ_HEAD(host_list, host);

struct hosts {
	struct gateway *gateway;
	struct host_list list; /* by name, by bytes */
	uint32_t count;
	struct host *self; /* NULL before CONFIG */
	struct timer beat, listen, early;
	uint64_t beats;       /* said */
	uint64_t pools_heard; /* when the supervisor last told of the own pools */
	uint64_t last_beat;
	bool said_quiet;      /* the last beat said that the own daemon does not speak */
	uint64_t changed; /* grows when hosts_say has something new to say */
	uint64_t said;
	uint64_t full_said;   /* when the log was last told that a host is ignored; 0: never */
	struct rival rival;
	struct forgotten forgotten[HOSTS_FORGOTTEN];
	unsigned forgotten_at;
	/* A host is gone, or is another incarnation now: what it owes ends. */
	void (*gone)(struct host *host);
	/* A host is ready that was not, or has other pools. */
	void (*came)(struct host *host);
};

int hosts_open(struct gateway *gateway);
void hosts_close(struct gateway *gateway);

bool host_name_is_valid(struct span name);

/* NULL: unknown. */
struct host *hosts_find(const struct hosts *hosts, struct span name);

/* Of the host's gateway, also if it is this one. */
static inline uint64_t host_incarnation(const struct host *host)
{
	return host->self ? host->hosts->gateway->incarnation : host->incarnation;
}

/* NULL: the host does not have it, or is not known to. */
static inline struct host_pool *host_pool(const struct host *host, struct span name)
{
	return host_pools_find(&host->pools, name);
}

/* May the log be told something of the host? One that comes and goes again and again does not fill it. */
bool host_may_log(struct host *host);

/* The name in CONFIG. */
int hosts_name_self(struct hosts *hosts, struct span name);

/* The array of POOLS. 0 or -EBADMSG. */
int hosts_set_own_pools(struct hosts *hosts, struct span pools);

void hosts_on_beat(struct hosts *hosts, struct span from, struct span bytes);

/* The bus tells that a connection of this host has ended. If it is the own host, it says that it is there. */
void hosts_on_disconnect(struct hosts *hosts, struct span name);

/* The bus is there: listens, then says so. */
void hosts_on_bus_up(struct hosts *hosts);

/* The bus lets this host send no beats: tells the supervisor, once. */
void hosts_on_beat_refused(struct hosts *hosts);

/* The bus is not there: tells the supervisor. */
void hosts_say_connecting(struct hosts *hosts);

/* This host gets no new calls: it stops. */
void hosts_say_drain(struct hosts *hosts);

/* Says goodbye to all. */
void hosts_say_goodbye(struct hosts *hosts);

/* The process stood still for so long: no host is to blame for its silence. */
void hosts_forgive(struct hosts *hosts, uint64_t time);

/* Writes HOSTS to the supervisor. */
void hosts_say(struct hosts *hosts);

/* Something that hosts_say tells has changed. */
static inline void hosts_changed(struct hosts *hosts)
{
	hosts->changed++;
}

#endif
