/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slowlog: logs methods that run for longer than their pool's slow_log, with a backtrace of the worker, and once more when
 * they have ended. A timer looks at the boards of the pools that have the key; the backtrace is made by a program of its own,
 * objpool-backtrace, one at a time, whose lines go to the log as they come.
 */
#ifndef SUPERVISOR_SLOWLOG_H
#define SUPERVISOR_SLOWLOG_H

#include <stdbool.h>
#include <sys/types.h>

struct daemon;
struct slowlog;
struct worker;

/* Some pool's slow_log may have changed: starts to look, if it isn't never. */
void slowlog_settle(struct daemon *daemon);

/* The configuration has been read anew: what did not work is tried again. */
void slowlog_on_reload(struct daemon *daemon);

/* daemon_ops. The worker, of which a task has been logged, has sent something: it may have ended. */
void slowlog_on_read(struct worker *worker);

/* The worker's process has ended, and has been read to its end. */
void slowlog_on_gone(struct worker *worker, int status);

/* A child has ended: was it ours? */
bool slowlog_on_child(struct daemon *daemon, pid_t pid, int status);

/* Accepts NULL; returns NULL. */
struct slowlog *slowlog_free(struct slowlog *slowlog);

#endif
