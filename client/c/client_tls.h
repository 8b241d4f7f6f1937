/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_tls: TLS between a wire and its socket.
 *
 *   client_tls_put ----> OpenSSL ----> due ----> socket
 *   client_tls_take <--- OpenSSL <--- come <--- socket
 *
 * OpenSSL does not see the socket. `due` takes all that it makes, and `come` holds what the last read has left of a record that
 * is not whole: so nothing that could be read waits where poll(2) does not see it.
 */
#ifndef CLIENT_C_CLIENT_TLS_H
#define CLIENT_C_CLIENT_TLS_H

#include "client/c/credentials.h"

#include <stdint.h>
#include <sys/types.h>

struct client_tls;

enum { CLIENT_TLS_ROOM = 64 << 10 }; /* client_tls_take has at least so much room */

/*
 * Makes the handshake with the server at a connected socket before `deadline` (monotonic nanoseconds; 0: no limit). `host`: of
 * the address. NULL: `*error` is -EINVAL: a file of the credentials can't be used; -EKEYREJECTED: the server's certificate is
 * refused; -EACCES: the server refuses; -EPROTO, -ETIMEDOUT, -ENOMEM, or another negative errno.
 */
struct client_tls *client_tls_open(int fd, const char *host, const struct credentials *credentials, int64_t deadline,
				   struct reason *reason, int *error);

/* Tells the server that this is the end, if it can be told at once, and frees it. Accepts NULL. Does not close the socket. */
void client_tls_close(struct client_tls *tls, int fd);

/* Sends some of the bytes. Their number; -EAGAIN: the socket takes none now; or another negative errno. No bytes: sends what is
 * due. */
ssize_t client_tls_put(struct client_tls *tls, int fd, const void *bytes, size_t size);

/* How many bytes client_tls_put has taken, and not sent. */
size_t client_tls_unsent(const struct client_tls *tls);

/* Reads once from the socket. Bytes; 0: the end; -EAGAIN: none now; or another negative errno. `*more`: there may be more. */
ssize_t client_tls_take(struct client_tls *tls, int fd, void *bytes, size_t size, bool *more);

/* Why it has ended, and the errno for it; empty and 0: it has not, or the other side has just gone. */
const struct reason *client_tls_reason(const struct client_tls *tls, int *error);

#endif
