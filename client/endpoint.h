/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint: where a daemon listens, in words, and how one gets there. */
#ifndef CLIENT_ENDPOINT_H
#define CLIENT_ENDPOINT_H

#include <stdint.h>

/* Connects until `deadline` (monotonic nanoseconds; 0: no limit). The descriptor, or a negative errno as objpool_connect's. */
int endpoint_connect(const char *address, int64_t deadline);

#endif
