/* SPDX-License-Identifier: Apache-2.0 */
/*
 * program: what the files of the process share. The process is one thread with one libevent loop, beside threads of the bus's
 * library. A turn: events come (link.c, locals.c, subjects.c), and go into the core; then gateway_end_turn, and all that the turn
 * has made is sent.
 */
#ifndef GATEWAY_PROGRAM_H
#define GATEWAY_PROGRAM_H

#include "gateway/bus/bus.h"
#include "gateway/core/gateway.h"
#include "gateway/settings.h"
#include "proto/clock.h"

#include <event2/event.h>

struct link;
struct local_socket;
struct services;

TAILQ_HEAD(local_socket_list, local_socket);

struct program {
	struct event_base *base;
	struct gateway *gateway;
	struct services *services;
	const struct bus_engine *engine;
	struct bus *bus;           /* NULL: none is open */
	struct settings settings;  /* of `bus` */
	uint64_t refused_at;       /* when it was last logged that this host may not publish; 0: never */
	struct link *link;
	struct local_socket_list locals, dirty_locals; /* dirty: see locals.c */
	int timer_fd;              /* a timerfd; -1: none has been made */
	struct event *timer;       /* it has fired */
	uint64_t timer_at;         /* when it fires, at the latest when the core wants; UINT64_MAX: it is not set */
	bool outlived;             /* by a thread of a bus that was closed: see bus.h */
	bool over;                 /* the supervisor has gone, or can't be understood */
	int exit_status;
};

/* Moves the core's clock. Every callback of the loop begins with it. */
static inline void program_tick(struct program *program)
{
	program->gateway->now = (uint64_t)clock_now();
}

static inline struct program *program_of(const struct gateway *gateway)
{
	return gateway->owner;
}

#endif
