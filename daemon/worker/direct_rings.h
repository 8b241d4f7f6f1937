/* SPDX-License-Identifier: Apache-2.0 */
/* direct_rings: gives a direct channel's client rings in place of the socket (proto/rings.h). */
#ifndef WORKER_DIRECT_RINGS_H
#define WORKER_DIRECT_RINGS_H

#include "proto/rings.h"

/* Makes rings, and sends them on the socket: [2, "objpool.rings", [bytes of a ring]] with RINGS_FILES descriptors. The caller
 * closes and frees the rings. NULL: they can't be made or sent, and nothing was. */
struct rings *direct_rings_offer(int fd);

#endif
