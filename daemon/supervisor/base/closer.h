/* SPDX-License-Identifier: Apache-2.0 */
/*
 * closer: a thread that closes descriptors of clients. close(2) of such a descriptor may block for as long as the client
 * likes: a TCP socket with SO_LINGER waits for its other end to read, a file of a FUSE waits for the FUSE's server. The kernel
 * blocks in the same way when it closes descriptors that were sent and not received: in a read(2) without room for them, and
 * when the connection in whose queue they wait is closed.
 *
 *   loop --descriptors--> pipe --> thread: close --how many--> eventfd --> loop
 *
 * Each descriptor counts for its sender's account (proto/account.h) until it is closed. A FUSE whose server does not answer
 * blocks the thread, and later descriptors wait behind it.
 *
 * A signal ends a close that waits for SO_LINGER. The signal is SIGURG, which the rest of the process ignores.
 */
#ifndef SUPERVISOR_CLOSER_H
#define SUPERVISOR_CLOSER_H

#include "proto/account.h"

/* Starts the thread. Called once. 0 or a negative errno. */
int closer_start(void);

/* A descriptor that is readable when the thread has closed descriptors. closer_settle then takes these off their accounts. */
int closer_fd(void);
void closer_settle(void);

/* Has the thread close the descriptor. Until then it counts for the account (NULL: for none). */
void closer_put(struct account *account, int fd);

/* Closes a connection: at once, if its queue is empty. Its peer sees the end, and can send nothing more. */
void closer_put_connection(struct account *account, int fd);

#endif
