/* SPDX-License-Identifier: Apache-2.0 */
/*
 * groups: the process groups of workers and templates. Each of these processes leads a group of its own. The processes that it
 * forks are in its group, unless they leave it on purpose. When the leader has ended, the group is killed.
 *
 * A group's number is its leader's pid. The kernel gives this number to no other process or group before the leader has been
 * waited for and the group is empty. So whoever waits for the leader calls groups_end first (waitid with WNOWAIT tells of the
 * end).
 *
 * The table has a bit for each pid. The supervisor shares the table's memory with the keeper (daemon/worker/keeper_main.h).
 */
#ifndef PROTO_GROUPS_H
#define PROTO_GROUPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { GROUPS_PIDS = 4 << 20 }; /* Linux has no more: PID_MAX_LIMIT */

/* 512 KiB of address space, of which a page takes memory once it is used. */
struct groups {
	_Atomic uint64_t bits[GROUPS_PIDS / 64];
};

void groups_add(struct groups *groups, pid_t leader);

/* Kills the group, and its leader if that is still there. Nobody may have waited for the leader yet. Does nothing for other
 * pids: returns false. */
bool groups_end(struct groups *groups, pid_t leader);

/* The first leader from this pid on; 0: there is none. */
pid_t groups_next(const struct groups *groups, pid_t from);

/* After a fork: the table is a copy, and its groups are the parent's. Empties it. */
void groups_forget(struct groups *groups);

/* Kills all groups of the table. */
void groups_end_all(struct groups *groups);

#endif
