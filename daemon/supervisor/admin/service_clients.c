/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/core/calls/client_end.h"
#include "daemon/supervisor/admin/admin.h"
#include "daemon/supervisor/view/clients.h"

int admin_clients(struct request *request)
{
	if (request->count > 0)
		return admin_refuse_params(request, "no arguments");
	clients_pack(request->daemon, request->result);
	return 0;
}

/* ---- objpool.kick ---- */

static struct session *find(const struct daemon *daemon, uint64_t id)
{
	struct session *session;

	TAILQ_FOREACH(session, &daemon->sessions, link)
		if (session->client.id == id)
			return session;
	return NULL;
}

/* The connection is closed at the end of the turn: at once, or, of who kicks itself, when it has the answer. */
int admin_kick(struct request *request)
{
	struct session *session;
	uint64_t id;

	if (request->count != 1 || read_whole(&request->args, &id) < 0)
		return admin_refuse_params(request, "the number of a session");
	session = find(request->daemon, id);
	(session ? msgpack_pack_true : msgpack_pack_false)(request->result);
	if (!session)
		return 0;
	if (session != request->session)
		client_hang_up(&session->client);
	session->ending = true;
	session_mark_dirty(session);
	return 0;
}
