/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory: what the daemon does when it holds more than max_memory (proto/account.h counts). In this order:
 *
 * 1. Idle payloads are given back to the system (memory_end_turn, at the end of the turn).
 * 2. A session that holds more than its share, which is max_memory divided by the number of sessions that hold memory, is not
 *    read (client_accepts), and a gathered call of it fails when it would hold still more (call_answer.c). The others go on.
 * 3. After a second of that (memory_sweep) it is read again, so that it can cancel, and give back: its calls are refused with
 *    OVERLOADED, and so is the message that it was in the middle of (session_refuse).
 * 4. When the daemon has held an eighth more than max_memory for two seconds, the connection of the session that
 *    holds most is closed, and the log says why.
 */
#ifndef SUPERVISOR_MEMORY_H
#define SUPERVISOR_MEMORY_H

#include <stdint.h>

struct daemon;

/* Bytes of memory that the machine has, or that the daemon's control groups allow it, if that is less. */
uint64_t memory_of_machine(void);

/* Gives the core the limits of the configuration. */
void memory_set_limits(struct daemon *daemon);

/* Called when the turn of the loop ends. */
void memory_end_turn(struct daemon *daemon);

/* Called twice a second. */
void memory_sweep(struct daemon *daemon);

#endif
