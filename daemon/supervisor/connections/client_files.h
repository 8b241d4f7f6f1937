/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_files: clients hand over descriptors in place of bins, and get descriptors. docs/PROTOCOL.md, "Descriptors",
 * describes this for clients. proto/payload.h has the format.
 */
#ifndef SUPERVISOR_CLIENT_FILES_H
#define SUPERVISOR_CLIENT_FILES_H

#include "daemon/core/records/client.h"
#include "daemon/supervisor/transport/intake.h"

/* A client on a Unix socket says whether it takes descriptors, and hands them over. */
void client_files_offer(struct client *client, struct intake *intake, bool fds);

/*
 * Takes the descriptors of a message that has been taken in. 0: it has none. 1: *block holds the descriptors and the message,
 * which may have moved; the caller drops its reference. -EINVAL: the descriptors are refused, and *error says why; *block is
 * as for 1.
 */
int client_files_take(struct client *client, struct intake *intake, struct span *message, struct block **block,
		      struct error *error);

/* objpool.give_back [number, …]. 0; -EINVAL: the params are not an array of such numbers. */
int client_files_on_give_back(struct client *client, struct span numbers);

#endif
