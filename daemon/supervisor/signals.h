/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals: what they make the daemon do. They are blocked, and read from a signalfd by the loop: none interrupts anything, one
 * that comes while the daemon starts waits for the loop, and one after the loop changes nothing.
 */
#ifndef SUPERVISOR_SIGNALS_H
#define SUPERVISOR_SIGNALS_H

struct daemon;
struct event;

/* The first thing that the daemon does, and before it has a thread: the signal mask and the dispositions become the daemon's own,
 * whatever it has inherited. */
void signals_take(void);

/* The event that acts on signals from now on. NULL with errno: it can't be made. */
struct event *signals_open(struct daemon *daemon);

/* Frees it. Accepts NULL. */
void signals_close(struct event *event);

#endif
