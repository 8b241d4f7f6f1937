/* SPDX-License-Identifier: Apache-2.0 */
/* tls_peer: the names in a client's certificate. */
#ifndef SUPERVISOR_TLS_PEER_H
#define SUPERVISOR_TLS_PEER_H

#include "daemon/supervisor/base/certificate.h"

#include <openssl/ssl.h>

/* The names in the certificate that the peer has shown, and that has been verified; NULL: it has shown none. To be freed with
 * certificate_free. 0 or -ENOMEM. */
int tls_peer_certificate(const SSL *ssl, struct certificate **certificate);

/* The names in a certificate. NULL: out of memory. */
struct certificate *tls_peer_names(const X509 *x509);

/* The subject as RFC 2253 writes it, to be freed. NULL: it has none, or out of memory. */
char *tls_peer_subject(const X509 *certificate);

#endif
