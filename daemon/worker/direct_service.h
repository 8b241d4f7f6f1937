/* SPDX-License-Identifier: Apache-2.0 */
/* direct_service: what a method may ask of its worker (services.c) when a message of a direct channel has called it. */
#ifndef WORKER_DIRECT_SERVICE_H
#define WORKER_DIRECT_SERVICE_H

#include "daemon/worker/direct_channel.h"
#include "daemon/worker/task.h"

/* A message of a direct channel, while it is carried out. */
struct direct_call {
	struct direct_channel *channel;
	bool request;  /* it is owed an answer */
	uint32_t msgid;
	uint64_t number; /* of the message, from 0 */
};

bool direct_service_cancelled(const struct task *task);
int direct_service_commit(const struct task *task);
bool direct_service_is_committed(const struct task *task);

/* Sends the progress of a request at once. 0, or -EIO when nobody reads it. */
int direct_service_progress(struct direct_channel *channel, uint32_t msgid, uint64_t done, uint64_t total, const char *text);

#endif
