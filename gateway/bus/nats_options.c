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

/* ---- copies ---- */

struct bus_options *nats_options_free_copy(struct bus_options *copy)
{
	if (!copy)
		return NULL;
	for (unsigned i = 0; copy->servers && i < copy->server_count; i++)
		free((char *)(uintptr_t)copy->servers[i]);
	const char *const texts[] = {copy->name, copy->inbox, copy->ca, copy->cert, copy->key, copy->creds};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		free((char *)(uintptr_t)texts[i]);
	free((void *)(uintptr_t)copy->servers);
	free(copy);
	return NULL;
}

static bool copy_text(const char **to, const char *text)
{
	*to = text ? strdup(text) : NULL;
	return *to || !text;
}

static bool copy_servers(struct bus_options *copy, const struct bus_options *options)
{
	const char **servers = calloc(options->server_count + 1, sizeof *servers);
	bool good = servers != NULL;

	copy->servers = servers;
	for (unsigned i = 0; good && i < options->server_count; i++)
		good = copy_text(&servers[i], options->servers[i]);
	return good;
}

struct bus_options *nats_options_copy(const struct bus_options *options)
{
	struct bus_options *copy = calloc(1, sizeof *copy);

	if (!copy)
		return NULL;
	copy->server_count = options->server_count;
	if (copy_servers(copy, options) && copy_text(&copy->name, options->name) && copy_text(&copy->inbox, options->inbox) &&
	    copy_text(&copy->ca, options->ca) && copy_text(&copy->cert, options->cert) && copy_text(&copy->key, options->key) &&
	    copy_text(&copy->creds, options->creds))
		return copy;
	return nats_options_free_copy(copy);
}

/* ---- what the library is told ---- */

/* 0; or -1, with a sentence in `reason`: a file can't be read. */
static int check_files(const struct bus_options *options, char *reason, size_t size)
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

static natsStatus make(natsOptions **made, const struct bus_options *options)
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

natsOptions *nats_options_make(const struct bus_options *options, char *reason, size_t size)
{
	natsOptions *made = NULL;

	if (check_files(options, reason, size) < 0)
		return NULL;
	const natsStatus status = make(&made, options);
	if (status == NATS_OK)
		return made;
	const char *error = nats_GetLastError(NULL);
	snprintf(reason, size, "the options of the bus can't be used: %s", error ? error : natsStatus_GetText(status));
	natsOptions_Destroy(made);
	return NULL;
}
