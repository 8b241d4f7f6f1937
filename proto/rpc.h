/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rpc: MessagePack-RPC messages (https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md), as spans of the bytes
 * that came.
 *
 *   request       94 | 00 | msgid | method | params ............ end of the message
 *   response      94 | 01 | msgid | error  | result
 *   notification  93 | 02 | method | params
 */
#ifndef PROTO_RPC_H
#define PROTO_RPC_H

#include "proto/read.h"

enum rpc_type { RPC_REQUEST = 0, RPC_RESPONSE = 1, RPC_NOTIFICATION = 2 };

struct rpc {
	enum rpc_type type;
	uint32_t msgid;     /* of requests and responses */
	struct span method; /* its name, of requests and notifications */
	struct span params; /* of requests and notifications: one whole value, whatever its type */
	struct span error, result; /* of responses */
	uint32_t levels;    /* of nesting in the whole message; 0: nobody has counted, as rpc_parse doesn't */
};

/* Reads a whole message that has been scanned. 0, or -EBADMSG if it is none of these three. */
int rpc_parse(struct span message, struct rpc *rpc);

/* So many bytes of a message's beginning contain its msgid, in any encoding. */
enum { RPC_PREFIX = 1 + 4 + 9 + 9 };

/* Reads the msgid of a request of which only the beginning has come. 0, or -EINVAL if it is not there. */
int rpc_peek_msgid(struct span beginning, uint32_t *msgid);

#endif
