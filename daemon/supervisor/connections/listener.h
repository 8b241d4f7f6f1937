/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener: one listening socket, which the daemon has opened or systemd has passed. It accepts some dozens of connections in
 * a turn of the loop. When descriptors run out, it stops accepting for a moment.
 */
#ifndef SUPERVISOR_LISTENER_H
#define SUPERVISOR_LISTENER_H

#include "daemon/supervisor/config/address.h"
#include "daemon/supervisor/base/daemon.h"
#include "daemon/supervisor/connections/socketfile.h"

struct listener {
	TAILQ_ENTRY(listener) link; /* in daemon->listeners */
	struct daemon *daemon;
	struct address address; /* as asked for */
	struct address bound;   /* with the port that it got */
	int fd;
	struct socketfile file;
	bool passed;            /* passed by systemd, which removes its file */
	bool wanted;            /* during a reload */
	bool wants_tls;         /* what the configuration says; `bound` says what is done */
	bool complained;
	struct event *event, *again;
};

/* Makes a socket that listens there. Removes a stale socket file. -1 with a sentence in `reason`. */
int listener_bind(const struct config *config, const struct address *address, char *reason, size_t reason_size);

/* Opens the address, or finds that it is open already. 0, or -1 with a sentence in `reason`. */
int listener_open(struct daemon *daemon, const struct config *config, const char *address, char *reason, size_t reason_size);

/* Takes a socket that was passed to the process. 0, or -1 with a sentence in `reason`. */
int listener_adopt(struct daemon *daemon, int fd, const char *name, char *reason, size_t reason_size);

/* Starts to accept, with or without TLS as the configuration says. */
void listener_start(struct listener *listener);

void listener_close(struct listener *listener);

#endif
