/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/direct_life.h"
#include "daemon/core/calls/lease.h"
#include "daemon/core/life/sizing.h"
#include "daemon/core/records/pool.h"
#include "daemon/supervisor/admin/admin.h"
#include "daemon/supervisor/base/packtext.h"
#include "proto/payload.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

/* ---- objpool.attach ---- */

static int refuse(struct request *request, enum error_code code, const char *text)
{
	error_say(&request->error, code, RAN_NO, "%s", text);
	return -1;
}

/* What a channel is asked to be. */
struct wanted {
	int64_t slot; /* -1: any */
	bool rings;
};

/* {rings: bool}, or nil */
static int read_options(struct reader *args, struct wanted *wanted)
{
	struct span key;
	uint32_t n = 0;

	if (read_nil(args) == 0)
		return 0;
	if (read_map(args, &n) < 0)
		return -EINVAL;
	for (; n > 0; n--)
		if (read_text(args, &key) < 0 || !span_is(key, "rings") || read_bool(args, &wanted->rings) < 0)
			return -EINVAL;
	return 0;
}

/* The slot, or nil, and a map of options. */
static int read_wanted(struct request *request, struct wanted *wanted)
{
	static const char what[] = "a pool, a slot or nil, and a map of options, of which there is `rings`, true or false";
	uint64_t number;

	*wanted = (struct wanted){.slot = -1};
	if (request->count > 0 && read_nil(&request->args) < 0) {
		if (read_whole(&request->args, &number) < 0 || number > UINT32_MAX)
			return admin_refuse_params(request, what);
		wanted->slot = (int64_t)number;
	}
	if (request->count > 1 && read_options(&request->args, wanted) < 0)
		return admin_refuse_params(request, what);
	return request->count > 2 ? admin_refuse_params(request, what) : 0;
}

static struct slot *choose(struct request *request, struct pool *pool, int64_t wanted)
{
	const struct client *client = &request->session->client;

	if (sizing_on_call(pool) < 0) {
		(void)admin_no_memory(request);
		return NULL;
	}
	if (wanted >= 0 && lease_check(client, pool, (uint32_t)wanted, &request->error) < 0)
		return NULL;
	return direct_slot_for(pool, wanted, client, &request->error);
}

/* Since Linux 6.16 a socket can refuse descriptors: what a client sends to the worker's end may take it as long as the client
 * likes to close. Before, the worker closes them on another thread. */
static void refuse_descriptors(int fd)
{
	const int no = 0;

	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof no);
}

/* A socketpair: the worker's end, and the client's. Both are charged to the client until they have been sent. */
static int make_ends(struct client *client, struct block *ends[2])
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	refuse_descriptors(fds[0]);
	for (int i = 0; i < 2; i++)
		ends[i] = payload_of(fds[i], client->account, NULL);
	if (ends[0] && ends[1]) {
		ends[0]->given_away = ends[1]->given_away = true;
		return 0;
	}
	block_unref(ends[0]);
	block_unref(ends[1]);
	return -ENOMEM;
}

static void pack_channel(const struct direct *direct, msgpack_packer *result)
{
	msgpack_pack_map(result, 3);
	pack_text(result, "slot");
	msgpack_pack_uint32(result, direct->index);
	pack_text(result, "generation");
	msgpack_pack_uint64(result, direct->generation);
	pack_text(result, "channel");
	msgpack_pack_uint64(result, direct->number);
}

/* The client's end leaves with the answer, which follows at once. */
static int open_channel(struct request *request, struct slot *slot, bool rings)
{
	struct client *client = &request->session->client;
	struct block *ends[2] = {NULL, NULL};

	if (!account_has_room_for_file(client->account) || make_ends(client, ends) < 0)
		return refuse(request, ERROR_OVERLOADED,
			      "the daemon holds as many descriptors for this client, or for all, as it may (see LimitNOFILE=)");
	const struct direct *direct = direct_open(client, slot, ends[0], rings);
	if (direct) {
		sendq_pass(&client->out, ends[1]);
		pack_channel(direct, request->result);
	}
	block_unref(ends[0]);
	block_unref(ends[1]);
	return direct ? 0 : admin_no_memory(request);
}

int admin_attach(struct request *request)
{
	struct wanted wanted;

	if (!request->session->is_unix || !request->session->client.fds)
		return refuse(request, ERROR_BAD_REQUEST,
			      "objpool.attach is for Unix connections that have said {\"fds\": true} in objpool.hello");
	struct pool *pool = admin_pool(request, RIGHT_DIRECT);
	if (!pool || read_wanted(request, &wanted) < 0)
		return -1;
	struct slot *slot = choose(request, pool, wanted.slot);
	if (!slot || direct_check_quota(&request->session->client, &request->error) < 0)
		return -1;
	if (request->rpc->type == RPC_NOTIFICATION)
		return 1; /* nobody would get the descriptor */
	return open_channel(request, slot, wanted.rings);
}

/* ---- objpool.detached, objpool.cancel ---- */

static struct direct *read_channel(struct request *request)
{
	const struct client *client = &request->session->client;
	uint64_t number;

	if (request->count == 0 || read_whole(&request->args, &number) < 0) {
		(void)admin_refuse_params(request, "the number of a direct channel first");
		return NULL;
	}
	struct direct *direct = direct_find(client, number);
	if (!direct)
		error_say(&request->error, ERROR_BAD_ARGUMENT, RAN_NO,
			  "the session has no direct channel %llu, or has had too many since it ended",
			  (unsigned long long)number);
	return direct;
}

int admin_detached(struct request *request)
{
	struct direct *direct = read_channel(request);

	if (!direct || request->rpc->type == RPC_NOTIFICATION)
		return direct ? 1 : -1;
	const int r = direct_await_end(direct, &request->session->client, request->rpc);
	if (r == -EBUSY)
		return refuse(request, ERROR_BAD_REQUEST, "another request waits for the end of that channel");
	return r < 0 ? admin_no_memory(request) : 1;
}

int admin_cancel_direct(struct request *request)
{
	struct direct *direct = read_channel(request);
	uint64_t number;

	if (!direct)
		return -1;
	if (read_whole(&request->args, &number) < 0 || number >= DIRECT_NUMBERS)
		return admin_refuse_params(request, "a direct channel and the number of a message on it");
	const int r = direct_cancel_message(direct, number);
	if (r < 0)
		return refuse(request, ERROR_OVERLOADED,
			      "too many messages of that channel are cancelled that have not come to their turn");
	(r > 0 ? msgpack_pack_true : msgpack_pack_false)(request->result);
	return 0;
}
