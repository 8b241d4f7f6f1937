/* SPDX-License-Identifier: Apache-2.0 */
/* parent_watch: the program that has started the daemon for itself alone, at the other end of standard input. Used by main. */
#ifndef SUPERVISOR_PARENT_WATCH_H
#define SUPERVISOR_PARENT_WATCH_H

struct daemon;
struct parent_watch;

/* The daemon stops at once when standard input ends. NULL: it can't be watched; the reason is logged. */
struct parent_watch *parent_watch_new(struct daemon *daemon);

/* Before the daemon is freed. NULL is accepted, and returned. */
struct parent_watch *parent_watch_free(struct parent_watch *watch);

#endif
