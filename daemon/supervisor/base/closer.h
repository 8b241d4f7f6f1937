/* SPDX-License-Identifier: Apache-2.0 */
/*
 * closer: a thread that closes what strangers have handed over. close(2) may take as long as they like: a TCP socket with
 * SO_LINGER waits for its other end to read, a file of a FUSE for whoever serves it. So does the kernel itself where it closes
 * descriptors that were sent and not received: behind a read(2) without room for them, and when the connection is closed in
 * whose queue they wait.
 *
 *   loop --descriptors--> pipe --> thread: close --how many--> eventfd --> loop
 *
 * Each descriptor counts for its sender's account (proto/account.h) until it is closed: a file of a FUSE whose server does not
 * answer keeps the thread for as long as it likes, and what was handed over meanwhile waits.
 *
 * A close that waits for SO_LINGER is broken off by a signal; SIGURG, which means nothing to the rest of the process.
 */
#ifndef SUPERVISOR_CLOSER_H
#define SUPERVISOR_CLOSER_H

#include "proto/account.h"

/* 0 or a negative errno. Once in a process. */
int closer_start(void);

/* A descriptor that is readable when some have been closed. Then closer_settle takes them off their accounts. */
int closer_fd(void);
void closer_settle(void);

/* Closes the descriptor, later, and adds it to the account (NULL: to none) until then. */
void closer_put(struct account *account, int fd);

/* Closes a connection: at once, if its queue is empty. Its peer sees the end, and can send nothing more. */
void closer_put_connection(struct account *account, int fd);

#endif
