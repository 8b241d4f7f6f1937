/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/http_identity.h"

#include "daemon/supervisor/config/address.h"
#include "daemon/supervisor/connections/peer.h"
#include "daemon/supervisor/http/http_answer.h"
#include "daemon/supervisor/log/happened.h"
#include "daemon/supervisor/log/log.h"
#include "daemon/supervisor/transport/tls_peer.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <string.h>

static struct bufferevent *stream_of(struct evhttp_request *request)
{
	return evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
}

bool http_is_encrypted(struct evhttp_request *request)
{
	return bufferevent_openssl_get_ssl(stream_of(request)) != NULL;
}

static int refuse(struct error *error, int status, const char *text)
{
	error_say(error, ERROR_DENIED, RAN_NO, "%s", text);
	return status;
}

void http_note_denied(struct daemon *daemon, struct evhttp_request *request, const struct error *error)
{
	char peer[ADDRESS_TEXT];

	if (error->code != ERROR_DENIED)
		return;
	daemon->core.denied++;
	if (!log_quota_take(&daemon->denials, daemon->core.now, DENIALS))
		return;
	peer_describe(bufferevent_getfd(stream_of(request)), http_is_encrypted(request), peer, sizeof peer);
	log_say(LOG_NOTICE, "a request by HTTP: DENIED: %.*s, from %s", SPAN_TEXT(error->message, 320), peer);
	happened(HAPPENED_CLIENT_DENIED, NULL, "%.*s, by HTTP from %s", SPAN_TEXT(error->message, 320), peer);
}

bool http_is_local(struct evhttp_request *request)
{
	struct address address = {.size = sizeof address.sa};

	if (getpeername(bufferevent_getfd(stream_of(request)), (struct sockaddr *)&address.sa, &address.size) < 0)
		return false;
	return address_is_unix(&address) || address_is_loopback(&address);
}

/* Does the request come by a way on which nobody can read a token? */
static bool is_private(struct evhttp_request *request)
{
	return http_is_encrypted(request) || http_is_local(request);
}

/* The hash of the token that the request has. 0, *given says whether it has one; or the status of the refusal. */
static int read_token(const struct users *users, struct evhttp_request *request, uint8_t hash[TOKEN_HASH], bool *given,
		      struct error *error)
{
	const char *text = evhttp_find_header(evhttp_request_get_input_headers(request), "Authorization");

	*given = text != NULL;
	if (!text)
		return 0;
	if (strncasecmp(text, "Bearer ", 7) != 0 || !is_private(request))
		return refuse(error, HTTP_UNAUTHORIZED,
			      "a token comes as \"Bearer TOKEN\", and not over a network in plain text");
	text += 7 + strspn(text + 7, " ");
	users_hash_token((struct span){.bytes = (const uint8_t *)text, .size = strlen(text)}, hash);
	return users_know_token(users, hash) ? 0 : refuse(error, HTTP_UNAUTHORIZED, "the token is no user's");
}

/* Who asks, by the certificate of its connection or by its token. */
static int identify(struct daemon *daemon, struct evhttp_request *request, const uint8_t *token, struct known *known,
		    struct error *error)
{
	SSL *ssl = bufferevent_openssl_get_ssl(stream_of(request));
	struct certificate *certificate = NULL;
	char reason[320];
	int r = ssl ? tls_peer_certificate(ssl, &certificate) : 0;

	if (r == 0) {
		const struct credentials credentials = {.token = token, .certificate = certificate};
		r = users_identify(daemon->users, &credentials, &known->identity, &known->by, reason, sizeof reason);
	}
	certificate_free(certificate);
	if (r == -EEXIST && log_quota_take(&daemon->denials, daemon->core.now, DENIALS))
		log_say(LOG_WARNING, "a request by HTTP: refused: %s", reason);
	if (r == -EEXIST)
		return refuse(error, HTTP_FORBIDDEN, "the certificate is that of two users");
	if (r == 0)
		return 0;
	error_no_memory(error, RAN_NO);
	return HTTP_SERVUNAVAIL;
}

int http_identify(struct daemon *daemon, struct evhttp_request *request, struct known *known, struct error *error)
{
	uint8_t hash[TOKEN_HASH];
	bool given;

	*known = (struct known){0};
	if (!daemon->users)
		return 0;
	const int status = read_token(daemon->users, request, hash, &given, error);
	return status ? status : identify(daemon, request, given ? hash : NULL, known, error);
}
