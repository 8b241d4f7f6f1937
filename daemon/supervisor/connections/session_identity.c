/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/connections/session_identity.h"

#include "daemon/core/calls/direct_life.h"
#include "daemon/supervisor/connections/peer.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- what a client shows ---- */

/* All groups of the process that has connected: its own, and its supplementary ones. To be freed. NULL: out of memory. */
static gid_t *read_groups(int fd, gid_t own, uint32_t *count)
{
	socklen_t size = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) == 0 || errno != ERANGE)
		size = 0;
	gid_t *groups = malloc(size + sizeof *groups);
	if (!groups)
		return NULL;
	if (size > 0 && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &size) < 0)
		size = 0;
	groups[0] = own;
	*count = 1 + size / (uint32_t)sizeof *groups;
	return groups;
}

bool session_identity_of_kernel(const struct session *session, struct ucred *peer)
{
	socklen_t size = sizeof *peer;

	return session->is_unix && !session->behalf && getsockopt(session->transport.fd, SOL_SOCKET, SO_PEERCRED, peer, &size) == 0;
}

bool session_identity_owns_daemon(const struct session *session)
{
	struct ucred peer;

	return session_identity_of_kernel(session, &peer) && (peer.uid == 0 || peer.uid == geteuid());
}

static int read_credentials(const struct session *session, struct credentials *credentials, gid_t **groups)
{
	struct ucred peer;

	*groups = NULL;
	*credentials = (struct credentials){.token = session->has_token ? session->token : NULL,
					    .certificate = session->certificate};
	if (!session_identity_of_kernel(session, &peer))
		return 0;
	*groups = read_groups(session->transport.fd, peer.gid, &credentials->gid_count);
	credentials->is_local = true;
	credentials->uid = peer.uid;
	credentials->gids = *groups;
	return *groups ? 0 : -ENOMEM;
}

/* ---- who it is ---- */

/* 0: *found is set; -EEXIST: two users have its certificate; -ENOMEM. */
static int find_own(const struct session *session, struct users *users, struct known *found)
{
	struct credentials credentials;
	char reason[320];
	gid_t *groups;

	*found = (struct known){0};
	if (!users)
		return 0;
	int r = read_credentials(session, &credentials, &groups);
	if (r == 0)
		r = users_identify(users, &credentials, &found->identity, &found->by, reason, sizeof reason);
	free(groups);
	if (r == -EEXIST)
		happened(HAPPENED_CLIENT_REFUSED, &(struct happened_about){.session = session->client.id}, "%s", reason);
	if (r == -EEXIST && log_quota_take(&session->daemon->denials, session->daemon->core.now, DENIALS))
		log_say(LOG_WARNING, "session %llu: refused: %s", (unsigned long long)session->client.id, reason);
	return r;
}

int session_identity_find(const struct session *session, struct users *users, struct known *found, struct rights **rights)
{
	const struct behalf *behalf = session->behalf;

	*rights = NULL;
	if (behalf && behalf->host[0])
		return behalf_find(&session->daemon->core, users, behalf, found, rights);
	if (behalf) {
		*found = (struct known){.by = KNOWN_BY_HOST};
		return session->daemon->ops->find_abroad(session->daemon, behalf->local, users, found, rights);
	}
	const int r = find_own(session, users, found);
	if (r == 0 && found->identity)
		*rights = rights_ref(found->identity->rights);
	return r;
}

/* Takes the reference to the rights. */
static void take(struct session *session, const struct known *known, struct rights *rights)
{
	session->known = *known;
	client_set_rights(&session->client, rights);
	rights_unref(rights);
}

int session_identity_settle(struct session *session)
{
	struct known found;
	struct rights *rights;
	const int r = session_identity_find(session, session->daemon->users, &found, &rights);

	if (r < 0)
		return r == -EEXIST || r == -ENOENT ? -EACCES : r;
	take(session, &found, rights);
	return 0;
}

const char *session_identity_name(const struct session *session, const char **by)
{
	struct ucred peer;

	if (session->behalf && session->behalf->host[0]) {
		*by = users_known_by(KNOWN_BY_HOST);
		return session->behalf->name;
	}
	if (session->known.identity) {
		*by = users_known_by(session->known.by);
		return session->known.identity->name;
	}
	const bool is_root = session_identity_of_kernel(session, &peer) && peer.uid == 0;
	*by = users_known_by(is_root ? KNOWN_AS_ROOT : KNOWN_AS_ANYONE);
	return is_root ? "root" : NULL;
}

void session_identity_peer(const struct session *session, char *text, size_t size)
{
	if (session->behalf)
		snprintf(text, size, "the gateway");
	else
		peer_describe(session->transport.fd, session->transport.tls, text, size);
}

/* ---- tokens ---- */

static int refuse_token(const char *reason, struct error *error)
{
	error_say(error, ERROR_DENIED, RAN_NO, "%s; the connection is closed", reason);
	return -EACCES;
}

static void keep_token(struct session *session, struct span token)
{
	users_hash_token(token, session->token);
	session->has_token = true;
}

/* Without users a token says nothing yet: a reload may bring them. */
int session_identity_use_token(struct session *session, struct span token, struct error *error)
{
	const struct users *users = session->daemon->users;
	const bool is_private = session->is_unix || session->transport.ops->encrypted;

	if (!users) {
		if (is_private && !session->asked)
			keep_token(session, token);
		return 0;
	}
	if (!is_private)
		return refuse_token("a token came over plain TCP, where others may have read it", error);
	if (session->asked) {
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "a token comes with objpool.hello, before any other request");
		return -EINVAL;
	}
	if (token.size == 0 || token.size > TOKEN_MAX)
		return refuse_token("the token is no user's", error);
	keep_token(session, token);
	if (!users_know_token(users, session->token))
		return refuse_token("the token is no user's", error);
	if (session_identity_settle(session) == 0)
		return 0;
	error_no_memory(error, RAN_NO);
	return -EINVAL;
}

/* ---- other users ---- */

int session_identity_prepare(struct daemon *daemon, struct users *users)
{
	struct session *session;

	TAILQ_FOREACH(session, &daemon->sessions, link) {
		rights_set(&session->next_rights, NULL);
		const int r = session_identity_find(session, users, &session->next, &session->next_rights);
		session->refused = r == -EEXIST || r == -ENOENT;
		if (r < 0 && !session->refused)
			return r;
	}
	return 0;
}

static void end(struct session *session)
{
	if (session->daemon->users)
		client_set_rights(&session->client, users_nobody(session->daemon->users)->rights);
	session->known = (struct known){0};
	session->ending = true;
	session_mark_dirty(session);
}

void session_identity_change(struct daemon *daemon, struct users *users)
{
	struct users *before = daemon->users;
	struct session *session;

	daemon->users = users;
	if (users)
		users_set_limits(users);
	TAILQ_FOREACH(session, &daemon->sessions, link) {
		if (session->refused)
			end(session);
		else
			take(session, &session->next, session->next_rights);
		session->next_rights = NULL;
		direct_settle_rights(&session->client, "refused");
	}
	TAILQ_FOREACH(session, &daemon->departed_sessions, link)
		session->known = (struct known){0}; /* it asks nothing more */
	users_free(before);
}
