/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve: sessions of other hosts. Each channel that another host opens gets a session of the own daemon, on behalf of that host's
 * user. Bytes go through in both directions as they are: queues, rights, limits, streams, leases, deadlines are the daemon's own.
 *
 *   channel --data--> local->out ---> daemon          credit for the channel as local->out is written
 *   channel <-out---- serve_bytes <-- daemon          the daemon is not read while channel->out holds much
 */
#ifndef GATEWAY_SERVE_H
#define GATEWAY_SERVE_H

#include "gateway/core/channel.h"
#include "gateway/core/local.h"

enum {
	SERVE_HOLDS_MAX = 256 << 10, /* bytes of answers that wait for credit: then the daemon is not read */
	SERVE_HOLDS_MIN = 128 << 10, /* it is read again */
};

/* Another host has opened a channel. NULL; or why it can't be served. */
const char *serve_opened(struct channel *channel);

#endif
