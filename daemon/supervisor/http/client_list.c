/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/client_list.h"

#include "daemon/supervisor/config/address.h"
#include "daemon/supervisor/connections/session_identity.h"
#include "daemon/supervisor/view/clients.h"

static void pack_session(const struct session *session, msgpack_packer *packer)
{
	char peer[ADDRESS_TEXT];
	struct client_facts facts = {.kind = "session", .peer = peer, .since = session->since};

	facts.user = session_identity_name(session, &facts.by);
	session_identity_peer(session, peer, sizeof peer);
	clients_pack(&session->client, &facts, packer);
}

static void pack_call(const struct http_call *call, msgpack_packer *packer)
{
	const struct rights *rights = call->client.rights;
	char peer[ADDRESS_TEXT];

	http_call_peer(call, peer, sizeof peer);
	clients_pack(&call->client,
		     &(struct client_facts){.kind = "http",
					    .user = rights ? rights->user : NULL,
					    .by = users_known_by(call->known_by),
					    .peer = peer,
					    .since = call->since},
		     packer);
}

static void pack_viewer(const struct viewer *viewer, msgpack_packer *packer)
{
	const struct rights *rights = viewer->client.rights;
	char peer[ADDRESS_TEXT];

	viewer_peer(viewer, peer, sizeof peer);
	clients_pack(&viewer->client,
		     &(struct client_facts){.kind = "page",
					    .user = rights ? rights->user : NULL,
					    .by = users_known_by(viewer->known_by),
					    .peer = peer,
					    .since = viewer->since},
		     packer);
}

uint32_t client_list_count(const struct daemon *daemon, const struct http_calls *calls, const struct viewers *viewers)
{
	return daemon->session_count + (calls ? calls->count : 0) + (viewers ? viewers->count : 0);
}

void client_list_pack(const struct daemon *daemon, const struct http_calls *calls, const struct viewers *viewers, uint32_t most,
		      msgpack_packer *packer)
{
	const uint32_t all = client_list_count(daemon, calls, viewers);
	uint32_t left = all < most ? all : most;
	const struct session *session = TAILQ_FIRST(&daemon->sessions);
	const struct http_call *call = calls ? TAILQ_FIRST(&calls->list) : NULL;
	const struct viewer *viewer = viewers ? TAILQ_FIRST(&viewers->list) : NULL;

	msgpack_pack_array(packer, left);
	for (; session && left > 0; session = TAILQ_NEXT(session, link), left--)
		pack_session(session, packer);
	for (; call && left > 0; call = TAILQ_NEXT(call, link), left--)
		pack_call(call, packer);
	for (; viewer && left > 0; viewer = TAILQ_NEXT(viewer, link), left--)
		pack_viewer(viewer, packer);
}
