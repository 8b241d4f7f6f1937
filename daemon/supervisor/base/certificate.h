/* SPDX-License-Identifier: Apache-2.0 */
/*
 * certificate: the names that a client's certificate gives its owner. TLS fills it once the certificate has been verified, and
 * keeps it with the session. users/ finds the [user NAME] sections that it matches, also when the configuration is read again.
 */
#ifndef SUPERVISOR_CERTIFICATE_H
#define SUPERVISOR_CERTIFICATE_H

#include <stddef.h>
#include <stdint.h>

enum { CERTIFICATE_HASH = 32 };

/* Names of one kind. Each is a string without NUL bytes: TLS leaves out names that have one. */
struct certificate_names {
	char **names;
	size_t count;
};

struct certificate {
	struct certificate_names dns, uris, emails; /* of the extension subjectAltName */
	struct certificate_names cns;               /* each commonName of the subject, as UTF-8 */
	char *subject;                              /* as RFC 2253 writes it; NULL: it has none */
	uint8_t sha256[CERTIFICATE_HASH];           /* of the DER form */
};

/* Frees what the certificate holds, and the structure itself. NULL: nothing. */
void certificate_free(struct certificate *certificate);

#endif
