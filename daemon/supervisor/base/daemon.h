/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon: the state of the supervisor process: the core, listeners, sessions, templates, workers, and the event base. All
 * other files of the supervisor use this file. loop.h turns the loop.
 */
#ifndef SUPERVISOR_DAEMON_H
#define SUPERVISOR_DAEMON_H

#include "daemon/core/base/core.h"
#include "daemon/supervisor/config/config.h"
#include "daemon/supervisor/base/cgroup.h"
#include "daemon/supervisor/base/loan.h"
#include "daemon/supervisor/base/ticker.h"
#include "daemon/supervisor/base/unclaimed.h"
#include "daemon/supervisor/log/log_quota.h"
#include "proto/payload.h"

#include <event2/event.h>
#include <sys/types.h>

struct daemon;
struct handshakes;
struct cluster;
struct guest;
struct http;
struct keeper;
struct known;
struct listener;
struct pidfile;
struct pool_views;
struct rpc;
struct session;
struct slowlog;
struct template;
struct tls_context;
struct users;
struct worker;

TAILQ_HEAD(listener_list, listener);
TAILQ_HEAD(session_list, session);
TAILQ_HEAD(guest_list, guest);
TAILQ_HEAD(worker_list, worker);
TAILQ_HEAD(pending_admin_list, pending_admin);
TAILQ_HEAD(rollout_list, rollout);
TAILQ_HEAD(event_reader_list, event_reader);

enum daemon_state { DAEMON_RUNNING, DAEMON_DRAINING, DAEMON_STOPPING, DAEMON_DONE };

/* Nanoseconds of a turn of the loop for the messages of all sessions together. */
#define DAEMON_TURN (4 * MILLISECOND)

/* Functions of higher floors that lower floors call: hooks.c fills the table. */
struct daemon_ops {
	int (*serve)(struct session *session, struct rpc *rpc); /* a request to the daemon itself: service_request */
	/* Finishes what has been accepted, then stops. The second time, or with `now`: stops at once. */
	void (*stop)(struct daemon *daemon, bool now);
	bool (*signal)(struct daemon *daemon, int number); /* false: the daemon ignores this signal */
	void (*worker_read)(struct worker *worker);        /* a worker with a slow task has sent something: slowlog_on_read */
	bool (*child_ended)(struct daemon *daemon, pid_t pid, int status); /* false: it is no child that anybody knows */
	void (*worker_gone)(struct worker *worker, int status); /* its process has ended: slowlog_on_gone */
	/* Who the local client of that number abroad is, by these users: cluster_find_abroad. */
	int (*find_abroad)(const struct daemon *daemon, uint64_t number, struct users *users, struct known *known,
			   struct rights **rights);
	/* Memory is short: http_break_off_greediest. */
	bool (*break_off_call)(struct daemon *daemon, const struct account *over, uint64_t least);
};

/* Of calls by HTTP, and of those who look at the page. */
struct http_counts {
	uint32_t viewers;
	uint32_t running;
	uint64_t calls;   /* that have begun */
	uint64_t refused; /* requests that were refused before a call began */
};

/* Readings of the configuration: the first, at the start, and those of reloads. */
struct config_readings {
	uint64_t reloads, failed; /* of reloads; failed: nothing has changed by them */
	bool last_failed;
	int64_t succeeded; /* seconds since 1970: when the configuration that is in force was read */
	uint64_t took;     /* nanoseconds of the last reload */
};

/* What the log counts when clients are denied more than it has lines for. */
#define DENIALS "requests were denied"

struct daemon {
	struct core core;
	const struct daemon_ops *ops;
	struct event_base *base;
	struct config config;
	const char *config_path;       /* NULL: none */
	struct config_readings readings;
	char *const *extra_listen;     /* addresses of the command line */
	uint32_t extra_listen_count;
	char *worker_program;
	struct cgroups cgroups;        /* of pools with memory_max */
	struct keeper *keeper;         /* ends processes that workers have forked */
	struct pidfile *pidfile;       /* NULL: none is wanted */
	enum daemon_state state;
	int exit_status;
	uint64_t started;              /* CLOCK_MONOTONIC */

	struct log_quota denials;      /* lines about requests that were denied: DENIALS of them */
	struct log_quota steered;      /* lines about requests that change something for others */
	struct users *users;           /* NULL: the configuration has none */
	struct listener_list listeners;
	struct http *http;             /* NULL: none */
	struct http_counts http_counts;
	struct pool_views *pool_views; /* what the page by HTTP shows of pools; NULL: there has been no address for it */
	struct tls_context *tls;       /* the certificates of now; NULL: none */
	struct handshakes *handshakes; /* connections with TLS that are no sessions yet */
	struct session_list sessions;
	struct session_list dirty_sessions; /* sessions that have answers to send, or may be read again */
	struct session_list departed_sessions; /* their connections are closed; their notifications are still carried out */
	struct session_list busy_sessions; /* wait for a turn: they have work left, and this turn's time was spent */
	uint64_t spent;                /* nanoseconds that this turn of the loop has used for sessions' messages */
	struct session_list ended_sessions; /* freed when the turn of the loop is over */
	uint32_t session_count;        /* open connections */
	struct guest_list guests;      /* hosts that have called pools here */
	uint32_t guest_count;
	uint32_t behalf_count;         /* of these, those that the gateway has opened: max_connections does not count them */
	uint64_t files_limit;          /* descriptors that the process may have */
	bool files_short;              /* they are too few for the workers, and the log has said so */
	uint64_t first_files;          /* descriptors that were open at the start */
	struct worker_list dirty_workers;
	struct pending_admin_list pending_admin; /* methods of the daemon itself that wait for workers */
	struct event_reader_list event_readers; /* streams of events to clients */
	struct rollout_list rollouts;  /* of reloads: pools whose instances are being replaced */
	uint64_t serial;               /* last number given to a template, or to its process */
	struct block *scratch;         /* the block that all connections read into */
	struct loan_list loans;        /* large results that lie in workers' memory */
	struct payload_pool payloads;  /* memory for large messages, which are passed on by descriptor */
	struct unclaimed unclaimed;    /* ends of children whose pid was not known yet */

	int timer_fd;                  /* fires at the core's next deadline, or before it */
	struct event *timer;
	struct event *closed;          /* descriptors of strangers have been closed: see closer.h */
	uint64_t timer_at;             /* when timer_fd fires; UINT64_MAX: it is not set */
	struct ticker sweep;           /* looks after sessions that are not read */
	struct event *signals;
	bool sessions_held;            /* some sessions are not read because memory is short */
	unsigned far_over;             /* sweeps in a row at which it held far more than max_memory: see memory.h */
	struct ticker watchdog;
	struct cluster *cluster;       /* NULL: this host is in none */
	struct slowlog *slowlog;       /* NULL: no pool has ever wanted it */
	bool ready;                    /* READY=1 has been said */
	bool forks_wanted;             /* a template has something to start */
	bool slots_changed;            /* since pending_admin was last looked at */
	char status[256];              /* last told to the service manager */
	uint64_t arrivals_until;       /* DRAINING: until then the first calls of clients are waited for */
	uint64_t stop_at;              /* STOPPING: workers that have not ended by then are killed */
};

/* Has the core tell the log what it does, if the level is debug. Called when the level has been set. */
void daemon_set_trace(struct daemon *daemon);

/* Moves the core's clock. Every callback of the loop begins with it. */
void daemon_tick(struct daemon *daemon);

#endif
