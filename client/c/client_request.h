/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_request: the message that a call begins with. A call without options is [0, msgid, "sim.step", args]; one with options
 * goes through objpool.call. The daemon's own methods take no options: a timeout of theirs is kept on this side only.
 */
#ifndef CLIENT_C_CLIENT_REQUEST_H
#define CLIENT_C_CLIENT_REQUEST_H

#include "client/c/connection.h"

#include <string.h>

struct client_request {
	const char *method;
	struct objpool_bytes args; /* a packed array; none: no arguments */
	const struct objpool_call_options *options; /* set by start_call */
	bool streamed; /* results come one by one */
	bool fed;      /* a map whose items follow: it has no arguments */
	bool lend;     /* large arguments may stay where they are until connection_keep_lent */
};

/*
 * Checks what would make the daemon close the connection, as bytes that are not one value. 0; -EINVAL; -ENOMEM: a packer that has
 * failed made some of the values.
 */
int client_request_check(const struct client_request *request);

/* Is the method one of the daemon's own? */
static inline bool client_request_is_to_daemon(const struct client_request *request)
{
	return strncmp(request->method, "objpool.", 8) == 0;
}

/* Packs the request with this msgid into the message that begins at `mark`. Adds large values to `payloads`. */
void client_request_pack(const struct client_request *request, struct objpool_client *client, size_t mark, uint32_t msgid,
			 struct sent_payload **payloads);

/* May the request go on a direct channel to one instance? Looks at its options, not at its target. */
bool client_request_suits_channel(const struct client_request *request);

/* Packs such a request into a channel's output. All its values go as bytes. */
void client_request_pack_on_channel(const struct client_request *request, struct wire *wire, uint32_t msgid);

/* Is it exactly one value of this type? Other bytes would put the whole connection out of step. */
bool client_request_is_one(struct objpool_bytes bytes, enum objpool_type type);

#endif
