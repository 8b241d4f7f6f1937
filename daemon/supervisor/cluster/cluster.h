/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster: the daemon's side of [cluster]: it starts objpool-gateway, which speaks with the gateways of other hosts, and gives it
 * what clients ask of these. state.h lists the files of this folder. Where a cluster may be NULL, nothing is done without one.
 */
#ifndef SUPERVISOR_CLUSTER_H
#define SUPERVISOR_CLUSTER_H

#include "daemon/supervisor/base/daemon.h"

#include <msgpack.h>
#include <sys/types.h>

struct config_pool;

/* The log tells what in a configuration that has just been read has no effect. Before the pools get their sections. */
void cluster_warn(const struct daemon *daemon);

/* Enters, changes or leaves the cluster, as daemon->config says. Called when the daemon has started, and after each reload. 0; or
 * -ENOMEM, of which the log tells: the daemon is in no cluster. */
int cluster_settle(struct daemon *daemon);

/* Ends the gateway, and forgets all. Accepts NULL; returns NULL. */
struct cluster *cluster_free(struct cluster *cluster);

/* A slot has got ready, or is gone: the gateway will be told. */
void cluster_on_slots_changed(struct cluster *cluster);

/* At the end of the turn: sends, and sees to a gateway that has gone. */
void cluster_end_turn(struct cluster *cluster);

/* The daemon drains. And: it stops now; requests that the gateway has are answered with an error. And: everything is sent; true:
 * the gateway has ended. */
void cluster_drain(struct cluster *cluster);
void cluster_break_off(struct cluster *cluster);
bool cluster_has_finished(struct cluster *cluster);

/* Requests that the gateway has. */
uint32_t cluster_requests(const struct cluster *cluster);

/* daemon_ops. */
bool cluster_on_child(struct daemon *daemon, pid_t pid, int status);
int cluster_find_abroad(const struct daemon *daemon, uint64_t number, struct users *users, struct known *known,
			struct rights **rights);

#endif
