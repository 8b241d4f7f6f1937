/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay: sends sticky calls to hosts that have come since, one after the other, each with the rights of who made it. Until the
 * host has had them all, calls of several hosts go elsewhere or wait (request.c).
 */
#ifndef GATEWAY_REPLAY_H
#define GATEWAY_REPLAY_H

#include "gateway/core/hosts.h"

/* The host has come, or has other pools, or time has passed: begins, if it has not had all. */
void replay_look(struct host *host);

#endif
