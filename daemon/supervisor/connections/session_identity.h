/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session_identity: who a session's client is. It is found when the session begins, when a token comes with objpool.hello, and
 * for all sessions when the configuration has been read again. Uid and groups are asked of the socket each time.
 */
#ifndef SUPERVISOR_SESSION_IDENTITY_H
#define SUPERVISOR_SESSION_IDENTITY_H

#include "daemon/supervisor/connections/session.h"

#include <sys/socket.h>

/* Finds who the client is, and gives it its rights. 0; -EACCES: two users have its certificate, which the log says; -ENOMEM. */
int session_identity_settle(struct session *session);

/* Finds who the client is by these users (NULL: there are none). *rights gets a reference; NULL: everything is allowed. 0; -EEXIST:
 * two users have its certificate, which the log says; -ENOENT: it stands for a client that has gone; -ENOMEM. */
int session_identity_find(const struct session *session, struct users *users, struct known *found, struct rights **rights);

/* Who has connected over a Unix socket, as the kernel knows it. False: the connection is another. */
bool session_identity_of_kernel(const struct session *session, struct ucred *peer);

/* Is the client root, or the daemon's own user, over a Unix socket? They could run any code as the daemon anyway. */
bool session_identity_owns_daemon(const struct session *session);

/* The client's users, and by what it was recognized, as objpool.whoami tells them. NULL: it is nobody's user. */
const char *session_identity_name(const struct session *session, const char **by);

/* Writes where the client is: "process 4711, user 0, group 0", or its address. */
void session_identity_peer(const struct session *session, char *text, size_t size);

/* The client has given a token with objpool.hello. 0; -EACCES: *error made, and the connection is to be closed; -EINVAL: *error
 * made. */
int session_identity_use_token(struct session *session, struct span token, struct error *error);

/*
 * Finds who all clients will be by other users, and keeps that with the sessions. 0, or -ENOMEM: nothing has changed. Then
 * session_identity_change gives all clients their new rights, and ends the sessions that may not go on; it frees the users that
 * were there before. `users` is NULL where there are none.
 */
int session_identity_prepare(struct daemon *daemon, struct users *users);
void session_identity_change(struct daemon *daemon, struct users *users);

#endif
