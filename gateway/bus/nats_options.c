/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/bus/nats_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CONNECT_MS = 2000, /* for a server to answer */
	PING_MS = 1000,    /* two pings without an answer: the server has gone */
	LINE = 1024,       /* bytes in a line of a file of credentials */
};

int nats_options_check(const struct bus_options *options, char *reason, size_t size)
{
	const char *const files[] = {options->ca, options->cert, options->key, options->creds};

	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		if (files[i] && access(files[i], R_OK) < 0) {
			snprintf(reason, size, "%s can't be read: %s", files[i], strerror(errno));
			return -1;
		}
	return 0;
}

/* The file's first line is "USER:PASSWORD", or a token. */
static natsStatus set_password(natsOptions *to, char *line)
{
	line[strcspn(line, "\r\n")] = '\0';
	char *colon = strchr(line, ':');
	if (!colon)
		return *line ? natsOptions_SetToken(to, line) : NATS_INVALID_ARG;
	*colon = '\0';
	return natsOptions_SetUserInfo(to, line, colon + 1);
}

/* A file as `nsc` makes it (https://docs.nats.io/using-nats/developer/connecting/creds), which the library reads whenever it
 * connects; or one with a line of its own. */
static natsStatus set_creds(natsOptions *to, const char *path)
{
	static const char armour[] = "-----BEGIN";
	char line[LINE] = "";
	FILE *file = fopen(path, "re");

	if (!file)
		return NATS_NOT_FOUND;
	const bool read = fgets(line, sizeof line, file) != NULL;
	(void)fclose(file);
	natsStatus status = NATS_INVALID_ARG;
	if (read && strncmp(line, armour, sizeof armour - 1) == 0)
		status = natsOptions_SetUserCredentialsFromFiles(to, path, NULL);
	else if (read)
		status = set_password(to, line);
	explicit_bzero(line, sizeof line);
	return status;
}

/* The library takes tls:// for nats://: without this it would send passwords in clear to a server that has no TLS. */
static bool wants_tls(const struct bus_options *options)
{
	static const char scheme[] = "tls://";

	for (unsigned i = 0; i < options->server_count; i++)
		if (strncmp(options->servers[i], scheme, sizeof scheme - 1) == 0)
			return true;
	return options->ca || options->cert;
}

static natsStatus set_security(natsOptions *to, const struct bus_options *options)
{
	natsStatus status = NATS_OK;

	if (wants_tls(options))
		status = natsOptions_SetSecure(to, true);
	if (status == NATS_OK && options->ca)
		status = natsOptions_LoadCATrustedCertificates(to, options->ca);
	if (status == NATS_OK && options->cert)
		status = natsOptions_LoadCertificatesChain(to, options->cert, options->key);
	if (status == NATS_OK && options->creds)
		status = set_creds(to, options->creds);
	return status;
}

static natsStatus set_patience(natsOptions *to)
{
	natsStatus status = natsOptions_SetTimeout(to, CONNECT_MS);

	if (status == NATS_OK)
		status = natsOptions_SetPingInterval(to, PING_MS);
	if (status == NATS_OK)
		status = natsOptions_SetMaxPingsOut(to, 2);
	if (status == NATS_OK)
		status = natsOptions_SetAllowReconnect(to, false);
	return status;
}

natsStatus nats_options_make(natsOptions **made, const struct bus_options *options)
{
	natsStatus status = natsOptions_Create(made);
	natsOptions *to = *made;

	if (status == NATS_OK) /* the library takes a list that it doesn't change */
		status = natsOptions_SetServers(to, (const char **)(uintptr_t)options->servers, (int)options->server_count);
	if (status == NATS_OK)
		status = natsOptions_SetName(to, options->name);
	if (status == NATS_OK && options->inbox)
		status = natsOptions_SetCustomInboxPrefix(to, options->inbox);
	if (status == NATS_OK)
		status = natsOptions_SetNoEcho(to, true);
	if (status == NATS_OK)
		status = natsOptions_SetSendAsap(to, true); /* asks for a write at once, not by a thread that collects */
	if (status == NATS_OK)
		status = set_security(to, options);
	if (status == NATS_OK)
		status = set_patience(to);
	return status;
}
