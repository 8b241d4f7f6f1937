/* SPDX-License-Identifier: Apache-2.0 */
/* hosts: who is in the cluster, as the gateway last told it; and what objpool.hosts answers of it. */
#ifndef SUPERVISOR_CLUSTER_HOSTS_H
#define SUPERVISOR_CLUSTER_HOSTS_H

#include "daemon/core/records/rights.h"
#include "proto/gateway_link.h"

#include <msgpack.h>

enum host_state { HOST_SELF, HOST_READY, HOST_SILENT, HOST_GONE, HOST_STATES };

/* A pool of a host. */
struct host_pool {
	char *name, *class;
	uint64_t slots, ready, queued, running;
	bool open; /* calls from here may go there: it takes no pickles, or trusts this host */
};

enum host_count {
	HOST_CALLS,      /* that were sent to it */
	HOST_SERVED,     /* that it has sent, and that were carried out here: the daemon counts them (guests.h) */
	HOST_INFLIGHT,   /* sent to it, and not answered */
	HOST_LATE,       /* packets that were dropped as they came too late */
	HOST_DUPLICATES, /* packets that came again */
	HOST_RESENT,     /* packets that were sent again */
	HOST_LOST_CALLS, /* calls that ended with HOST_LOST */
	HOST_COUNTS
};

struct host {
	char name[GATEWAY_NAME_MAX + 1];
	enum host_state state;
	uint64_t incarnation;
	uint64_t since_ms, heard_ms;
	int64_t rtt_us; /* -1: not known */
	struct host_pool *pools;
	uint32_t pool_count;
	uint64_t counts[HOST_COUNTS];
};

/* The bus, and the gateway on it. */
struct bus {
	char *server;         /* NULL: it is not connected */
	uint64_t reconnects, slow, in_bytes, out_bytes, in_messages, out_messages;
	uint64_t late;        /* packets and beats that are no known host's, or for another incarnation */
	uint64_t memory, memory_limit; /* of the gateway */
};

struct hosts {
	struct host *hosts; /* in the order in which the gateway told them */
	uint32_t count;
	struct bus bus;
};

/* Reads what HOSTS says of hosts and of the bus: takes its place, or leaves all as it was. 0; -EBADMSG; -ENOMEM. */
int hosts_read(struct hosts *hosts, struct span list, struct span bus);
void hosts_free(struct hosts *hosts);

const char *host_state_name(enum host_state state);
const char *host_count_name(enum host_count count);

/* How many are in that state. */
uint32_t hosts_in(const struct hosts *hosts, enum host_state state);

/* Packs them as an array of maps, with the pools that the rights (NULL: all) allow to be seen. */
void hosts_pack(const struct hosts *hosts, const struct rights *rights, msgpack_packer *packer);

#endif
