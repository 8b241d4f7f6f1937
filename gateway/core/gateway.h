/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway: the events that come into the gateway's core. The program around it (gateway/main.c, or tests/gateway_sim) sets
 * gateway->now, calls one or more of these, and then gateway_end_turn, which publishes what the turn has made (all that goes to
 * one host together) and frees what has ended. base.h has what the core asks of the program.
 *
 *   supervisor --gateway_on_supervisor--> +------+ --publish, publish_beat--> bus
 *              <------to_supervisor------ | core | <--gateway_on_packet, _on_beat, _on_disconnect, _on_bus_up, _on_bus_down--
 *   own daemon --gateway_on_local_bytes-> |      |
 *              <--------local->out------- +------+
 */
#ifndef GATEWAY_H
#define GATEWAY_H

#include "gateway/core/base.h"

/* A gateway that waits for CONFIG and for the bus. `seed` must be random: incarnations are made of it. NULL: out of memory. */
struct gateway *gateway_new(const struct gateway_ops *ops, void *owner, uint64_t now, uint64_t seed);

/* Says goodbye, and gives up all: no event comes any more. gateway->ending is true then: where ops->local_close is called, the
 * program must call local_free before it returns, for what a session holds is charged to the gateway. */
struct gateway *gateway_free(struct gateway *gateway);

/* A whole message of the supervisor (proto/gateway_link.h). `block` holds its bytes; NULL: they are gone when this returns. The
 * program around the core reads CONFIG too, for what concerns the bus. 0; -EBADMSG: it is none; or -ENOMEM. Else than 0 the
 * gateway must end. */
int gateway_on_supervisor(struct gateway *gateway, struct span message, struct block *block);

/* May the program read more from the supervisor? False while the core holds too much. Ask before each read; a turn may change
 * it. */
bool gateway_reads_supervisor(const struct gateway *gateway);

/* The bus is connected, for the first time or again; its messages may have so many bytes. `text` says where, for people. */
void gateway_on_bus_up(struct gateway *gateway, size_t max_payload, const char *text);
/* The bus has refused a beat of this host, which is told. */
void gateway_on_beat_refused(struct gateway *gateway);
/* The bus is not there. `text` says why, for people. */
void gateway_on_bus_down(struct gateway *gateway, const char *text);

/* A message on objpool.DOMAIN.beat.FROM, on objpool.DOMAIN.to.SELF.FROM. `from` is the subject's token. Own beats may come. */
void gateway_on_beat(struct gateway *gateway, struct span from, struct span bytes);
void gateway_on_packet(struct gateway *gateway, struct span from, struct span bytes);

/* The bus tells that a connection of this host has ended. Not every bus does. */
void gateway_on_disconnect(struct gateway *gateway, struct span host);

/* Bytes of the daemon, cut anywhere, on a local session. They are gone when this returns. */
void gateway_on_local_bytes(struct local *local, struct span bytes);
/* Some of local->out has been written. */
void gateway_on_local_sent(struct local *local);
/* The daemon has closed the session, or it can't be written. The program calls local_free afterwards. */
void gateway_on_local_gone(struct local *local);

/* When gateway_run is to be called next; UINT64_MAX: never. */
uint64_t gateway_next(const struct gateway *gateway);
/* Does what is due at gateway->now. */
void gateway_run(struct gateway *gateway);

/* This host leaves, under the name that it has: says goodbye to the others. */
void gateway_leave(struct gateway *gateway);

void gateway_end_turn(struct gateway *gateway);

/* For tests: is nothing left of calls, sessions, channels? */
bool gateway_is_quiet(const struct gateway *gateway);

#endif
