/* SPDX-License-Identifier: Apache-2.0 */
/* owner: the program that has started the daemon for itself alone, at the other end of standard input. Used by main. */
#ifndef SUPERVISOR_OWNER_H
#define SUPERVISOR_OWNER_H

struct daemon;
struct owner;

/* The daemon stops at once when standard input ends. NULL: it can't be watched; the reason is logged. */
struct owner *owner_watch(struct daemon *daemon);

/* Before the daemon is freed. NULL is accepted, and returned. */
struct owner *owner_free(struct owner *owner);

#endif
