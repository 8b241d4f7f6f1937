/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: what the supervisor knows of the cluster: the gateway's process, the socket to it, the clients that ask other hosts, and
 * what it tells of the hosts. The other files of this folder use it.
 *
 *   process: the program starts, ends, and is started again       link: the socket; whole messages, both ways
 *   abroad: clients and their requests      hosts: who is there   shared: what is told of the pools here
 *   host_events: what has happened to hosts  offers: pools of the sections [remote NAME]
 *   from_gateway, to_gateway: the messages of proto/gateway_link.h
 */
#ifndef SUPERVISOR_CLUSTER_STATE_H
#define SUPERVISOR_CLUSTER_STATE_H

#include "daemon/core/records/remote.h"
#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/cluster/hosts.h"
#include "daemon/supervisor/transport/intake.h"
#include "daemon/supervisor/transport/transport.h"

struct lines;
struct offer;

TAILQ_HEAD(abroad_list, abroad);

struct cluster {
	struct remote remote; /* the core's view of it */
	struct daemon *daemon;
	struct offer *offer_list; /* offers.h */
	uint32_t offer_count;
	struct idmap offers; /* name_hash of a section [remote NAME] -> its offer */

	/* the process */
	char *program;
	pid_t pid;               /* 0: it does not run */
	struct lines *printed;
	uint64_t started;        /* when it was */
	uint64_t starts;         /* how often */
	uint64_t pause;          /* nanoseconds until it is started again; 0: it has lived well */
	struct timer again;
	char ended[128];         /* how it has ended, or why it can't be started; "": it runs, and has not ended before */
	bool complained;         /* the log has been told that it can't be started */
	bool closing;            /* the daemon ends, or leaves the cluster: it is not started again */

	/* the socket */
	struct transport transport; /* fd -1: there is none */
	struct intake intake;
	struct sendq out;
	uint64_t written;        /* bytes that were ever put into `out` */
	uint64_t heard;          /* when something came last */
	bool spoken;             /* something has come */
	bool broken;             /* the other end has gone, or broken the protocol: it is closed at the end of the turn */

	/* the clients */
	struct abroad_list abroads;
	struct abroad_list held;   /* they are not read until `out` is shorter */
	struct abroad_list reading; /* so much was given to them that the gateway must hear what they take */
	struct idmap by_number;
	uint32_t errands;        /* requests that have no answer */
	bool losing;             /* they are being answered, as the gateway has gone: no struct abroad is freed meanwhile */

	/* the pools here */
	struct timer tell_pools;
	uint64_t pools_told;     /* when */
	bool draining;           /* DRAIN was sent */

	struct hosts hosts;
	struct log_quota lines;  /* of LOG: hosts that come and go, and programs on the bus, cause some */
	char bus_state[16];      /* as STATE tells it; "stopped": the gateway does not run */
	char bus_text[256];
	char unreachable[GATEWAY_NAME_MAX + 1]; /* the host in the last error about one: see struct error's `host` */
	uint64_t calls, lost; /* requests that were given to it, and that it took with it */
	uint64_t dropped;     /* messages that nobody waited for */
};

/* Is there a gateway that can be given something? */
static inline bool link_is_open(const struct cluster *cluster)
{
	return cluster->transport.fd >= 0 && !cluster->broken;
}

#endif
