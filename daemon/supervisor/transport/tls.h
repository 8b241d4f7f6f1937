/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls: the transport that is TLS on a stream socket. Bytes are decrypted into the reader's memory, and records are made of the
 * send queue's pieces where they lie; only small pieces are first brought together.
 *
 *   accepted socket --tls_open--> handshake --tls_accept: 0--> bytes go both ways
 *                                     '-------tls_accept: -EPROTO, tls_leave--> a plain socket, to be closed
 */
#ifndef SUPERVISOR_TLS_H
#define SUPERVISOR_TLS_H

#include "daemon/supervisor/base/certificate.h"
#include "daemon/supervisor/transport/tls_context.h"
#include "daemon/supervisor/transport/transport.h"

extern const struct transport_ops tls_transport;

/* Looks at the first byte that has come on a socket. 1: a handshake of TLS begins so; 0: it does not; -EAGAIN; another negative
 * errno: the peer has gone. */
int tls_begins(int fd);

/* Makes a transport whose handshake has not begun into one of TLS. What that holds is charged to the account until it is closed. 0
 * or -ENOMEM. */
int tls_open(struct transport *transport, const struct tls_context *context, struct account *account);

/* The same with TLS that its owner has made for this socket, and keeps. */
int tls_join(struct transport *transport, SSL *ssl, struct account *account);

/* From now on another account is charged. */
void tls_charge_to(struct transport *transport, struct account *account);

/* Goes on with the handshake. 0: it is done; -EAGAIN: read_awaits says what it waits for; -EPROTO: it failed, and `reason` says
 * why in words. The peer has been told. */
int tls_accept(struct transport *transport, char *reason, size_t reason_size);

/* Frees what TLS holds; the transport is a plain socket again. */
void tls_leave(struct transport *transport);

/* For the log: version, cipher and, if the peer has shown a certificate, its subject. */
void tls_describe(const struct transport *transport, char *text, size_t size);

/* The names of the certificate that the peer has shown, and that has been verified; NULL: it has shown none. To be freed with
 * certificate_free. 0 or -ENOMEM. */
int tls_certificate(const struct transport *transport, struct certificate **certificate);

#endif
