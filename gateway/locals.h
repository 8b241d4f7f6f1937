/* SPDX-License-Identifier: Apache-2.0 */
/*
 * locals: sessions of the own daemon that the gateway holds for clients of other hosts, and for the own host's where one of their
 * calls concerns all hosts. Each is one end of a Unix socket pair; the daemon is given the other with SESSION
 * (proto/gateway_link.h). The core reads and writes MessagePack-RPC on it; this file moves the bytes.
 */
#ifndef GATEWAY_LOCALS_H
#define GATEWAY_LOCALS_H

#include "gateway/program.h"

/* gateway_ops.local_open, local_wrote, local_reads, local_close. */
int locals_open(struct local *local);
void locals_wrote(struct local *local);
void locals_reads(struct local *local);
void locals_close(struct local *local);

/* A turn is over: sends what the core has written. */
void locals_end_turn(struct program *program);

/* Closes those that the core is done with, whether their bytes are sent or not: these are charged to the gateway, which is freed
 * next, and closes the others. */
void locals_free_closing(struct program *program);

#endif
