/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint: addresses of daemons as text, and connecting to them. */
#ifndef CLIENT_C_ENDPOINT_H
#define CLIENT_C_ENDPOINT_H

#include <stdint.h>

struct endpoint {
	enum { ENDPOINT_UNIX, ENDPOINT_TCP, ENDPOINT_TLS } kind;
	char place[256]; /* the path, or the host */
	char port[6];
};

/* Takes an address apart; NULL: objpool_default_address. 0, or -EINVAL. */
int endpoint_parse(const char *address, struct endpoint *endpoint);

/* Connects before `deadline` (monotonic nanoseconds; 0: no limit). Returns the socket, or an error of objpool_connect. */
int endpoint_connect(const struct endpoint *endpoint, int64_t deadline);

#endif
