/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rpc.h"

#include <errno.h>

static int parse_msgid(struct reader *reader, uint32_t *msgid)
{
	uint64_t id;
	if (read_uint(reader, &id) < 0 || id > UINT32_MAX)
		return -EBADMSG;
	*msgid = (uint32_t)id;
	return 0;
}

static struct span rest_of(const struct reader *reader)
{
	return (struct span){.bytes = reader->p, .size = (size_t)(reader->end - reader->p)};
}

static int parse_call(struct reader *reader, struct rpc *rpc)
{
	if (read_text(reader, &rpc->method) < 0)
		return -EBADMSG;
	rpc->params = rest_of(reader); /* the last value: it ends where the message ends */
	return 0;
}

int rpc_parse(struct span message, struct rpc *rpc)
{
	struct reader reader = reader_of(message);
	uint32_t count;
	uint64_t type;

	rpc->levels = 0;
	if (read_array(&reader, &count) < 0 || count < 3 || count > 4 || read_uint(&reader, &type) < 0)
		return -EBADMSG;
	if (type == RPC_NOTIFICATION && count == 3) {
		rpc->type = RPC_NOTIFICATION;
		return parse_call(&reader, rpc);
	}
	if (type > RPC_RESPONSE || count != 4 || parse_msgid(&reader, &rpc->msgid) < 0)
		return -EBADMSG;
	rpc->type = (enum rpc_type)type;
	if (rpc->type == RPC_REQUEST)
		return parse_call(&reader, rpc);
	if (read_value(&reader, &rpc->error) < 0)
		return -EBADMSG;
	rpc->result = rest_of(&reader);
	return 0;
}

int rpc_peek_msgid(struct span beginning, uint32_t *msgid)
{
	struct reader reader = reader_of(beginning);
	uint32_t count;
	uint64_t type;

	if (read_array(&reader, &count) < 0 || count != 4 || read_uint(&reader, &type) < 0 || type != RPC_REQUEST)
		return -EINVAL;
	return parse_msgid(&reader, msgid) < 0 ? -EINVAL : 0;
}
