/* SPDX-License-Identifier: Apache-2.0 */
/* client_tls_setup: what OpenSSL is told before a handshake: versions, whom to trust, which name to expect, who one is. */
#ifndef CLIENT_C_CLIENT_TLS_SETUP_H
#define CLIENT_C_CLIENT_TLS_SETUP_H

#include "client/c/credentials.h"
#include "client/c/openssl.h"

/* Makes `*context`, which the caller frees. 0; -EINVAL, with a reason: a file can't be used; -ENOMEM: there may be a context. */
int client_tls_setup(const struct openssl *lib, const struct credentials *credentials, SSL_CTX **context, struct reason *reason);

/* Makes `*ssl`, which the caller frees, for a server with such a name or IP address. 0, -EINVAL, -ENOMEM. */
int client_tls_begin(const struct openssl *lib, SSL_CTX *context, const char *name, SSL **ssl, struct reason *reason);

#endif
