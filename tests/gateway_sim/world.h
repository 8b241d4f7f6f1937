/* SPDX-License-Identifier: Apache-2.0 */
/* world: the clock, the dice, the tokens and the nodes of one seed. A node is a machine: a supervisor with a daemon that is
 * played (daemon.c), its clients (clients.c), and a gateway, whose core is the real one. bus.c carries what gateways publish. */
#ifndef GATEWAY_SIM_WORLD_H
#define GATEWAY_SIM_WORLD_H

#include "gateway/core/gateway.h"
#include "gateway/core/put.h"
#include "daemon/core/records/target.h"
#include "proto/rpc.h"
#include "proto/scan.h"

#include <stdio.h>

enum { NODES = 4, SLOTS_MAX = 4 };

/* Each call has a token, or one for each of its items: a number that is used once. */
struct token {
	uint16_t ran;      /* how often it has begun */
	bool idempotent;   /* it may run twice */
	bool must_not;     /* somebody was told that it has not run: it must never */
	bool sticky;       /* of a sticky call that replaces: hosts that were lost meanwhile may get it twice */
	bool runs_on_all;  /* of a call to all slots: once on each */
	uint32_t where[8]; /* slots on which it ran: node << 8 | slot, the first few; or the last one */
};

/* What may happen in this world. */
struct flavour {
	bool calm;    /* nothing goes wrong */
	bool lossy;   /* the bus loses, doubles, delays, reorders */
	bool tells;   /* the bus tells of hosts that have left it */
	bool cuts;    /* the bus parts hosts, one way or both; servers restart */
	bool kills;   /* gateways and hosts are killed, frozen, started again */
	bool twins;   /* two hosts have the same name */
	bool large;   /* values of many packets */
	bool crashes; /* workers die */
	bool resizes; /* pools get other numbers of slots */
	bool slow;    /* clients read seldom */
	bool stalls;  /* daemons are frozen, and their gateways live */
	bool pauses;  /* pools are paused */
	bool tight;   /* gateways may hold little, and few sessions for others */
};

struct node {
	struct world *world;
	unsigned number;
	char name[8];
	bool up; /* the machine runs */
	bool bus_up;
	struct gateway *gateway;       /* NULL: its process is dead */
	uint64_t frozen_until;         /* its process stands still; 0: it does not */
	struct held *held, **held_end; /* what has come for it meanwhile */
	bool touched;                  /* its turn must be ended */
	struct sendq from_gateway;     /* bytes of to_supervisor that are no whole message yet */
	struct daemon *daemon;
	struct clients_of_node *clients;
	bool bus_full;                 /* the bus has no room at present */
	uint64_t stalled_until;        /* its daemon stands still; 0: it does not */
	bool remote, prefers_load;     /* it has a section [remote p] */
	unsigned remote_hosts;         /* bits: the numbers of nodes in its `hosts`; 0: "*" */
	struct timer pools, restart, thaw, room, unstall;
	char state[16]; /* as STATE told */
};

/* What waits for a gateway that stands still. */
struct held {
	struct held *next;
	void (*give)(struct held *held, struct node *node);
	void *what;
	size_t size;
	uint64_t number;
	char from[8];
	uint8_t bytes[];
};

struct world {
	uint64_t now, seed, state;
	bool verbose;
	struct flavour flavour;
	struct timers timers;
	struct node nodes[NODES];
	unsigned node_count;
	struct token *tokens;
	uint32_t token_count, token_room;
	unsigned loss, doubles, delays; /* per mille */
	bool cut[NODES][NODES];         /* nothing goes from one to the other */
	bool quieting;                  /* no new faults, no new calls */
	uint64_t calls, answered, failed, lost, unreachable;
	uint64_t good[16]; /* answers without an error, by the kind of the question */
};

uint32_t world_dice(struct world *world, uint32_t sides);
static inline bool world_one_in(struct world *world, uint32_t sides)
{
	return world_dice(world, sides) == 0;
}
_Noreturn __attribute__((format(printf, 2, 3))) void world_fail(const struct world *world, const char *format, ...);
__attribute__((format(printf, 2, 3))) void world_say(const struct world *world, const char *format, ...);
uint32_t world_tokens(struct world *world, uint32_t count);

#define HOLDS(world, condition, ...)                                                                                             \
	do {                                                                                                                     \
		if (!(condition))                                                                                                \
			world_fail(world, __VA_ARGS__);                                                                          \
	} while (0)

/* One piece of all that waits in a queue; the caller frees it. */
uint8_t *world_flat(const struct sendq *queue, size_t *size);

/* ---- bus.c ---- */
void bus_publish(struct node *from, const char *to, const void *bytes, size_t size); /* `to` NULL: a beat */
/* The bus tells all that the node's connection has ended: it has, or the bus is mistaken. */
void bus_tell_left(struct node *left);
/* Gives something to a gateway: at once, or when it is no longer frozen. */
void node_event(struct node *node, void (*give)(struct held *held, struct node *node), void *what, uint64_t number,
		const char *from, const void *bytes, size_t size);
void node_drop_held(struct node *node);

/* ---- daemon.c ---- */
struct daemon *daemon_new(struct node *node);
struct daemon *daemon_free(struct daemon *daemon);
int daemon_open(struct daemon *daemon, struct local *local);
void daemon_wrote(struct local *local);
void daemon_reads(struct local *local);
void daemon_close(struct local *local);
/* The gateway ends: its side of sessions that it is done with, before it is freed. */
void daemon_drop_closing(struct daemon *daemon);
/* The gateway's process is dead, and with it all its sessions. */
void daemon_lose_gateway(struct daemon *daemon);
/* Writes the array of POOLS. */
void daemon_put_pools(const struct daemon *daemon, struct sendq *to);
void daemon_crash_worker(struct daemon *daemon);
void daemon_resize(struct daemon *daemon);
void daemon_pause(struct daemon *daemon, bool paused);
void daemon_end_leases(struct daemon *daemon);
bool daemon_is_quiet(const struct daemon *daemon);
bool daemon_has_run(const struct daemon *daemon, uint32_t token);
unsigned daemon_slots(const struct daemon *daemon);
unsigned daemon_sessions(const struct daemon *daemon);

/* ---- clients.c ---- */
struct clients_of_node *clients_new(struct node *node);
struct clients_of_node *clients_free(struct clients_of_node *clients);
void clients_act(struct clients_of_node *clients);   /* one of them does something */
void clients_ask_any(struct clients_of_node *clients); /* one asks what a host that is paused must not be given */
void clients_take(struct clients_of_node *clients);  /* they read what has come for them */
uint32_t clients_ask_map(struct clients_of_node *clients, uint32_t count);
void clients_leave(struct clients_of_node *clients); /* one of them goes */
void clients_hear(struct clients_of_node *clients, uint64_t sid, struct span rpc);
void clients_lose_gateway(struct clients_of_node *clients); /* the supervisor answers HOST_LOST */
bool clients_wait(const struct clients_of_node *clients);
void clients_say_waiting(const struct clients_of_node *clients);
void clients_close_all(struct clients_of_node *clients);

/* ---- wires.c ---- */
/* The node has a gateway. */
void wires_check(const struct node *node);       /* at any time */
void wires_check_quiet(const struct node *node); /* nobody waits for anything, and all has been read */

/* ---- sim.c: the supervisor ---- */
/* Sends a message of the supervisor to the gateway; it is taken out of `message`. */
void node_tell(struct node *node, struct sendq *message);

#endif
