/* SPDX-License-Identifier: Apache-2.0 */
/* peer: where the other end of a connection is, in words. */
#ifndef SUPERVISOR_PEER_H
#define SUPERVISOR_PEER_H

#include <stdbool.h>
#include <stddef.h>

/* Writes "process 4711, user 0, group 0", as the kernel knows it, or the address; or why neither is known. */
void peer_describe(int fd, bool tls, char *text, size_t size);

#endif
