/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unread: descriptors that wait in the queue of a Unix connection which is not read for a while.
 *
 * One of them can be the connection's own other end, or the other end of a connection in whose queue this one's end waits. Such a
 * connection is never seen to be closed: the kernel lets go of a queued descriptor only when it is read, or when the queue is
 * closed. So the session looks into the queue, without taking anything out.
 */
#ifndef SUPERVISOR_UNREAD_H
#define SUPERVISOR_UNREAD_H

#include "proto/block.h"

#include <stdbool.h>
#include <stdint.h>

/* Looks at the queue behind its first *looked bytes, and adds the bytes that it has looked at to *looked. True: a socket waits
 * there, or more files that take long to close than the account has room for. */
bool unread_find_refused(struct account *account, int fd, uint32_t *looked, struct block *scratch);

#endif
