/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_main: a small process that outlives the supervisor. When the supervisor has been killed, its workers die with it
 * (PR_SET_PDEATHSIG), but the processes that they have forked do not: the keeper kills their process groups.
 *
 * CHANNEL_FD is a pipe whose end tells of the supervisor's. KEEPER_TABLE_FD is the file of the supervisor's table
 * (proto/groups.h).
 */
#ifndef WORKER_KEEPER_MAIN_H
#define WORKER_KEEPER_MAIN_H

#include "proto/channel.h"

enum { KEEPER_TABLE_FD = CHANNEL_FD + 1 };

_Noreturn void keeper_main(void);

#endif
