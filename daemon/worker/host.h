/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host: the worker's loop. Hosts one instance of a class: reads calls from the channel, runs methods, writes what they
 * give. The supervisor's handover.c and slot.c are its mirror images; proto/channel.h draws the messages.
 */
#ifndef WORKER_HOST_H
#define WORKER_HOST_H

#include "daemon/worker/plugin.h"
#include "proto/channel.h"

/* Runs until the supervisor says stop or goes away; does not return. */
_Noreturn void host_run(const struct plugin *plugin, struct board *board);

#endif
