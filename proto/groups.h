/* SPDX-License-Identifier: Apache-2.0 */
/*
 * groups: the process groups of workers and templates. Each of these processes is the leader of a group of its own, in which is what it has
 * forked, but for what has left the group on purpose. When the leader has ended, the group is killed.
 *
 * A group's number is its leader's pid. It can't become another process's or group's before the leader has been waited for and the group is
 * empty. So whoever waits for the leader calls groups_end first (waitid with WNOWAIT says that it has ended).
 *
 * The table is a bit for each pid. The supervisor has it in memory that it shares with the keeper (daemon/worker/keeper.h).
 */
#ifndef PROTO_GROUPS_H
#define PROTO_GROUPS_H

#include <stdint.h>
#include <sys/types.h>

enum { GROUPS_PIDS = 4 << 20 }; /* Linux has no more: PID_MAX_LIMIT */

/* Pages of it exist once they are used. */
struct groups {
	_Atomic uint64_t bits[GROUPS_PIDS / 64];
};

void groups_add(struct groups *groups, pid_t leader);

/* The leader has ended, or shall end with its group; nobody has waited for it yet. Does nothing where `leader` is none. */
void groups_end(struct groups *groups, pid_t leader);

/* A copy that came with a fork: they are another process's. */
void groups_forget(struct groups *groups);

/* Ends all. */
void groups_end_all(struct groups *groups);

#endif
