/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint: addresses of daemons as text, and connecting to them. */
#ifndef CLIENT_C_ENDPOINT_H
#define CLIENT_C_ENDPOINT_H

#include <stdint.h>

/* Connects before `deadline` (monotonic nanoseconds; 0: no limit). Returns the socket, or an error of objpool_connect. */
int endpoint_connect(const char *address, int64_t deadline);

#endif
