/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals: what signals make the daemon do. They are blocked, and the loop reads them from a signalfd: so no signal interrupts a
 * function. A signal that comes while the daemon starts waits for the loop. A signal that comes after the loop is ignored.
 */
#ifndef SUPERVISOR_SIGNALS_H
#define SUPERVISOR_SIGNALS_H

struct daemon;
struct event;

/* Called first in main, before there is a thread: sets the signal mask and all dispositions, whatever the process has
 * inherited. */
void signals_take(void);

/* Makes the event that acts on signals. NULL with errno: it can't be made. */
struct event *signals_open(struct daemon *daemon);

/* Frees it. Accepts NULL. */
void signals_close(struct event *event);

#endif
