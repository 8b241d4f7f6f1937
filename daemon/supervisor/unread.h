/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unread: descriptors that wait in the queue of a Unix connection which is not read for a while.
 *
 * A socket among them can be the connection's own other end, or that of another which holds this one's: then neither is ever
 * seen to be closed, for the kernel lets go of a queued descriptor only when it is read, or the queue is closed. So somebody has
 * to look, without taking anything out.
 */
#ifndef SUPERVISOR_UNREAD_H
#define SUPERVISOR_UNREAD_H

#include "proto/block.h"

#include <stdbool.h>
#include <stdint.h>

/* Does a socket wait behind the first `*looked` bytes of the queue? Moves *looked to where it has looked up to. */
bool unread_has_socket(int fd, uint32_t *looked, struct block *scratch);

#endif
