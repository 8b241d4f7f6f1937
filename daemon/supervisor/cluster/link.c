/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/cluster/link.h"

#include "daemon/supervisor/cluster/from_gateway.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/transport/outlet.h"
#include "daemon/supervisor/transport/socket.h"
#include "proto/gateway_link.h"

#include <errno.h>

enum { AROUND = 64 /* bytes that a message has around a client's */, READS_AT_END = 4096 };

static int take_messages(struct cluster *cluster)
{
	struct intake *intake = &cluster->intake;
	struct span message;
	struct block *block;
	int r;

	while ((r = intake_next(intake, &message, &block)) > 0)
		if (intake->deep || from_gateway_on_message(cluster, message, block) < 0)
			return -EBADMSG;
	return r < 0 ? r : intake_keep(intake);
}

/* 1: something was read; 0: nothing is there; else the link is broken. */
static int read_once(struct cluster *cluster)
{
	const ssize_t n = intake_read(&cluster->intake, &cluster->transport, cluster->daemon->scratch);

	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return n < 0 ? (int)n : -ECONNRESET;
	cluster->heard = cluster->daemon->core.now;
	cluster->spoken = true;
	const int r = take_messages(cluster);
	return r < 0 ? r : 1;
}

static void on_readable(struct transport *transport)
{
	struct cluster *cluster = container_of(transport, struct cluster, transport);

	daemon_tick(cluster->daemon);
	const int r = read_once(cluster);
	if (r == -EBADMSG || r == -EMSGSIZE)
		log_say(LOG_ERR, "objpool-gateway has sent what is no message of a gateway: it is started anew");
	cluster->broken |= r < 0;
	if (cluster->broken)
		(void)transport_want_read(transport, false);
}

/* link_flush, at the end of the turn, goes on. */
static void on_sendable(struct transport *transport)
{
	daemon_tick(container_of(transport, struct cluster, transport)->daemon);
}

int link_open(struct cluster *cluster, int fd)
{
	struct account *memory = &cluster->daemon->core.memory;

	cluster->transport = transport_of(&socket_transport, fd);
	cluster->broken = cluster->spoken = false;
	cluster->out = (struct sendq){.account = memory};
	cluster->heard = cluster->daemon->core.now;
	intake_init(&cluster->intake, (uint64_t)GATEWAY_RPC_MAX + AROUND, memory);
	cluster->intake.passing = cluster->intake.arrivals.takes_ends = true; /* sessions come as sockets */
	transport_open(&cluster->transport, cluster->daemon->base, on_readable, on_sendable);
	return transport_want_read(&cluster->transport, true);
}

void link_close(struct cluster *cluster)
{
	if (cluster->transport.fd < 0)
		return;
	transport_close(&cluster->transport, &cluster->daemon->core.memory);
	cluster->transport.fd = -1;
	intake_free(&cluster->intake);
	sendq_clear(&cluster->out);
}

void link_flush(struct cluster *cluster)
{
	if (!link_is_open(cluster) || (cluster->out.bytes == 0 && !cluster->transport.sending && !cluster->out.failed))
		return;
	const int r = outlet_flush(&cluster->out, &cluster->transport);
	cluster->broken |= r < 0;
	(void)transport_want_send(&cluster->transport, r > 0);
}

void link_drain(struct cluster *cluster)
{
	for (int i = 0; i < READS_AT_END && link_is_open(cluster); i++)
		cluster->broken |= read_once(cluster) <= 0;
}
