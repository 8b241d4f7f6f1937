/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: one client connection: the structure, and the switches that the other files about sessions use.
 *
 * A file of each: session_reading (when it is read), session_messages (what its messages ask), session_writing (its answers),
 * session_press (when memory is short), session_life (it begins and ends).
 */
#ifndef SUPERVISOR_SESSION_H
#define SUPERVISOR_SESSION_H

#include "daemon/core/records/client.h"
#include "daemon/supervisor/base/certificate.h"
#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/connections/behalf.h"
#include "daemon/supervisor/transport/intake.h"
#include "daemon/supervisor/transport/transport.h"
#include "daemon/supervisor/users/users.h"

/* Nanoseconds for the messages of one session before others have their turn. */
#define SESSION_TURN (MILLISECOND / 2)

struct session {
	struct client client;
	struct daemon *daemon;
	uint64_t since;  /* when it began */
	TAILQ_ENTRY(session) link;  /* in daemon->sessions, departed_sessions or ended_sessions */
	TAILQ_ENTRY(session) dirty_link;
	bool dirty;
	TAILQ_ENTRY(session) busy_link;
	bool busy;       /* waits in daemon->busy_sessions for its next turn, and isn't read meanwhile */
	bool is_unix;
	bool input_done; /* the client sends no more */
	bool shut;       /* nor can it, since the daemon ends */
	bool ending;     /* it is closed once its answers are sent */
	bool behind;     /* messages may have been read that are not taken in yet */
	uint32_t looked; /* bytes of its socket's queue that unread_find_refused has looked at since the socket was last read */
	size_t alone;     /* size of the last message that was looked at by itself */
	uint8_t unlooked; /* messages taken in since the last look at the clock */
	bool closed;     /* its connection is closed */
	bool over;       /* it has ended, and is freed when the turn ends */
	bool asked;      /* a message of it has been carried out */
	bool has_token;
	bool refused;    /* session_identity_prepare has found that it may not go on */
	uint8_t token[TOKEN_HASH]; /* the hash of the token that it has given */
	struct certificate *certificate; /* is freed with the session; NULL: it has none */
	struct behalf *behalf; /* for whom the gateway has opened it; NULL: it is its client's own. Owned */
	struct known known;   /* who its client is */
	struct known next;    /* who it will be: see session_identity_prepare */
	struct rights *next_rights; /* likewise, of one that has a `behalf` */
	uint8_t pressed;  /* sweeps in a row at which it held more than its share of the memory */
	struct transport transport;
	struct intake intake;
};

/* core_ops.client_wrote. */
void session_on_wrote(struct client *client);

/* session_flush is called for the session at the end of this turn. */
void session_mark_dirty(struct session *session);

/* The session waits for its turn in daemon->busy_sessions, or no longer does. */
void session_want_turn(struct session *session);
void session_leave_turns(struct session *session);

/* Have bytes been read from its socket that were not taken in? */
static inline bool session_has_more(const struct session *session)
{
	return session->behind || (session->transport.pending && !session->input_done);
}

/* The connection failed with this errno: the client has gone. */
void session_on_error(struct session *session, int error);

#endif
