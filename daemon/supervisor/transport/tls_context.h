/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_context: what all connections with TLS have in common: the certificates, keys and lists that the configuration names, and
 * what is offered to clients. A reload makes another; connections that were begun with the old one keep what they need of it.
 */
#ifndef SUPERVISOR_TLS_CONTEXT_H
#define SUPERVISOR_TLS_CONTEXT_H

#include "daemon/supervisor/config/config.h"

#include <openssl/ssl.h>

struct tls_context;

/* What is spoken on a connection. A client that offers application protocols (ALPN) must offer this one. */
enum tls_protocol { TLS_OBJPOOL, TLS_HTTP };

/* What a connection tells to the functions that OpenSSL calls, and hears from them. It lives as long as the connection. */
struct tls_notes {
	enum tls_protocol protocol;
	char refused[128]; /* the subject of the certificate that was refused */
	uint32_t records;  /* that may still be read when the handshake is done: with one more the connection ends */
};

/* Reads the files that the configuration names. 0: *context is NULL if it names no certificate. -1 with a sentence in `reason`,
 * which begins with file:line. `takes_outdated`: certificates and lists that are out of date are taken, and `reason` says so of the
 * last such one; it is "" if there is none. */
int tls_context_load(struct tls_context **context, const struct config *config, bool takes_outdated, char *reason,
		     size_t reason_size);

/* Connections may outlive it. NULL: nothing. Returns NULL. */
struct tls_context *tls_context_free(struct tls_context *context);

/* A new connection, the server's side. NULL: out of memory. */
SSL *tls_context_connection(const struct tls_context *context, struct tls_notes *notes);

/* When the first certificate of tls_cert expires, in seconds since 1970. */
int64_t tls_context_expires(const struct tls_context *context);

#endif
