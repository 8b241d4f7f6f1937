/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper: a small process beside the supervisor that outlives it. When the supervisor has been killed, its workers die with it
 * (PR_SET_PDEATHSIG), but what they have forked does not: the keeper kills their process groups.
 *
 * CHANNEL_FD is a pipe that ends with the supervisor, KEEPER_TABLE_FD the file of its table of groups.
 */
#ifndef WORKER_KEEPER_H
#define WORKER_KEEPER_H

#include "proto/channel.h"

enum { KEEPER_TABLE_FD = CHANNEL_FD + 1 };

_Noreturn void keeper_run(void);

#endif
