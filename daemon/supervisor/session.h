/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: one client connection. Reads whole messages, hands them to the core or to the daemon's own methods, sends the answers.
 *
 * It is not read while it has too much unanswered or unsent (client_accepts), and when it has shut down its sending side. It ends
 * when the connection is gone, or what it sends is no MessagePack-RPC.
 */
#ifndef SUPERVISOR_SESSION_H
#define SUPERVISOR_SESSION_H

#include "daemon/core/client.h"
#include "daemon/supervisor/daemon.h"
#include "daemon/supervisor/intake.h"

#include <event2/event_struct.h>

struct session {
	struct client client;
	struct daemon *daemon;
	TAILQ_ENTRY(session) link;  /* in daemon->sessions or closed_sessions */
	TAILQ_ENTRY(session) dirty_link;
	bool dirty;
	int fd;
	bool is_unix;
	bool reading;    /* its event is set */
	bool writing;
	bool input_done; /* the client sends no more */
	bool ending;     /* closed once its answers are sent */
	bool closed;
	struct event readable, writable;
	struct intake intake;
};

/* Takes over the descriptor of a new connection. NULL: out of memory, and it is closed. */
struct session *session_new(struct daemon *daemon, int fd, bool is_unix);

/* core_ops.client_wrote. */
void session_on_wrote(struct client *client);

/* After each turn of the loop: sends what there is, and takes in again what was held back. */
void session_flush(struct session *session);

/* Twice a second, those that are not read: have they gone? */
void session_sweep(struct session *session);

void session_close(struct session *session, const char *why);
void session_free(struct session *session);

#endif
