/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credentials: by what a client knows the daemon, and the daemon the client: files and names of the options, or else of the
 * environment.
 */
#ifndef CLIENT_C_CREDENTIALS_H
#define CLIENT_C_CREDENTIALS_H

#include "client/c/reason.h"
#include "objpool/client.h"

struct credentials {
	const char *ca;    /* file of the CAs that are trusted; NULL: the system's */
	const char *cert;  /* file of the client's certificate; NULL: none */
	const char *key;   /* file of its key; not NULL if `cert` is not */
	const char *name;  /* that the daemon's certificate must have; NULL: the address's host */
	const char *token; /* file of the token; NULL: none */
};

struct credentials credentials_of(const struct objpool_connect_options *options);

enum { TOKEN_ROOM = 4096 };

/* Reads the token. 0, or -EINVAL with a reason. */
int credentials_read_token(const struct credentials *credentials, char token[TOKEN_ROOM], struct reason *reason);

#endif
