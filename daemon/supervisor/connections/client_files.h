/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_files: descriptors that clients hand over in place of bins, and get. docs/PROTOCOL.md, "Descriptors", is what they are
 * told; proto/payload.h has the bytes.
 */
#ifndef SUPERVISOR_CLIENT_FILES_H
#define SUPERVISOR_CLIENT_FILES_H

#include "daemon/core/records/client.h"
#include "daemon/supervisor/transport/intake.h"

/* A client on a Unix socket says whether it takes descriptors, and hands them over. */
void client_files_offer(struct client *client, struct intake *intake, bool fds);

/*
 * The descriptors of a message that has been taken. 0: it has none. 1: *block holds them and the message, which may have moved,
 * and the caller drops its reference. -EINVAL: they are not as they must be, and *error says how; *block likewise.
 */
int client_files_take(struct client *client, struct intake *intake, struct span *message, struct block **block,
		      struct error *error);

/* objpool.give_back [number, …]. 0; -EINVAL: the params are not an array of such numbers. */
int client_files_on_give_back(struct client *client, struct span numbers);

#endif
