/* SPDX-License-Identifier: Apache-2.0 */
/* direct_call: carries out the messages of direct channels. */
#ifndef WORKER_DIRECT_CALL_H
#define WORKER_DIRECT_CALL_H

#include "daemon/worker/direct_channel.h"
#include "daemon/worker/host.h"

/* Where what is called on direct channels is counted: the place on the board of the method that was called last. */
struct direct_counting {
	char name[HOST_NAME];
	uint32_t place;
	bool known;
};

/* Carries out one message: calls the method, and puts the answer to those that the channel has to send. */
void direct_call_run(struct host *host, struct direct_channel *channel, struct direct_counting *counting, struct span message);

/* A message is over the limit, and this is its beginning. */
void direct_call_too_large(struct host *host, struct direct_channel *channel, struct span beginning);

/* The client has broken the protocol: one error response with msgid 0; the channel is to be closed. */
void direct_call_garbage(struct host *host, struct direct_channel *channel, const char *reason);

#endif
