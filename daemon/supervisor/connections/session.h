/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: one client connection. Reads whole messages, hands them to the core or to the daemon's own methods, sends the answers.
 *
 * A session is not read while it has too much unanswered or unsent (client_accepts), and when its peer has shut down its
 * sending side. Its connection is closed when the peer has gone and all that the peer had sent is taken in, or when the peer
 * sends no MessagePack-RPC. The session ends with the last of its notifications, which are carried out though their sender has
 * gone:
 *
 *   sessions --session_close--> departed_sessions --the last notification ends--> ended_sessions --end of the turn--> freed
 */
#ifndef SUPERVISOR_SESSION_H
#define SUPERVISOR_SESSION_H

#include "daemon/core/records/client.h"
#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/transport/intake.h"

#include <event2/event_struct.h>

/* Nanoseconds for the messages of one session before others have their turn. */
#define SESSION_TURN (MILLISECOND / 2)

struct session {
	struct client client;
	struct daemon *daemon;
	TAILQ_ENTRY(session) link;  /* in daemon->sessions, departed_sessions or ended_sessions */
	TAILQ_ENTRY(session) dirty_link;
	bool dirty;
	TAILQ_ENTRY(session) busy_link;
	bool busy;       /* waits in daemon->busy_sessions for its next turn, and isn't read meanwhile */
	int fd;
	bool is_unix;
	bool reading;    /* its event is set */
	bool writing;
	bool input_done; /* the client sends no more */
	bool ending;     /* closed once its answers are sent */
	bool behind;     /* whole messages may have been read that are not taken in yet */
	uint32_t looked; /* bytes of its queue that unread_has_socket has looked at since it was last read */
	uint8_t unlooked; /* messages taken in since the last look at the clock */
	bool closed;     /* its connection is closed */
	bool over;       /* it has ended, and is freed when the turn ends */
	uint8_t pressed;  /* sweeps in a row at which it held more than its share of the memory */
	struct event readable, writable;
	struct intake intake;
};

/* Takes over the descriptor of a new connection. NULL: out of memory, and it is closed. */
struct session *session_new(struct daemon *daemon, int fd, bool is_unix);

/* core_ops.client_wrote. */
void session_on_wrote(struct client *client);

/* The session is the first of daemon->busy_sessions: takes in more of its messages, for SESSION_TURN at most. */
void session_take_turn(struct session *session);

/* After each turn of the loop: sends its answers. Messages that were held back are taken in again. */
void session_flush(struct session *session);

/* There may be room again: messages that were held back are taken in. */
void session_resume(struct session *session);

/* Called twice a second: notes for how long it has held more than its share of the memory, and acts on it (memory.h). */
void session_press(struct session *session);

/* Twice a second, those that are not read: have they gone? */
void session_sweep(struct session *session);

/* Closes the connection. The session ends now, or with the last of its notifications. */
void session_close(struct session *session, const char *why);

/* Ends the session at once, with its notifications. */
void session_end(struct session *session);

void session_free(struct session *session);

#endif
