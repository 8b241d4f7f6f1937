/* SPDX-License-Identifier: Apache-2.0 */
/* connect: the beginning of a connection, with the greeting, and its end. */
#include "client/c/connection.h"
#include "client/c/credentials.h"
#include "client/c/endpoint.h"
#include "client/c/options.h"
#include "client/c/readiness.h"
#include "client/c/turn.h"
#include "proto/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECT_TIMEOUT_MS = 10000 };

/* A connection that begins. */
struct opening {
	struct objpool_connect_options options;
	struct credentials credentials;
	int64_t deadline;
	struct reason reason;
};

static int opening_init(struct opening *opening, const struct objpool_connect_options *given)
{
	*opening = (struct opening){0};
	if (OPTIONS_TAKE(&opening->options, given) < 0)
		return -EINVAL;
	const int ms = opening->options.timeout_ms ? opening->options.timeout_ms : CONNECT_TIMEOUT_MS;
	opening->deadline = ms < 0 ? 0 : clock_now() + (int64_t)ms * CLOCK_NS_PER_MS;
	opening->credentials = credentials_of(&opening->options);
	return 0;
}

/* Tells the program the reason. Returns `rc`. */
static int opening_end(const struct opening *opening, int rc)
{
	if (opening->options.reason && opening->options.reason_size > 0)
		snprintf(opening->options.reason, opening->options.reason_size, "%s", rc < 0 ? opening->reason.text : "");
	return rc;
}

struct greeting {
	struct objpool_result *result;
	bool done;
};

static void greeting_on_answer(void *context, const struct objpool_result *result)
{
	struct greeting *greeting = context;

	greeting->done = true;
	(void)objpool_result_copy(greeting->result, result);
}

static bool is_unix(int fd)
{
	int domain = 0;
	socklen_t size = sizeof domain;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
}

/* What hello's answer says that the daemon can. */
struct abilities {
	bool fds;
	uint64_t mark;
	uint64_t protocol, minor; /* [1, 1] has direct channels, [1, 2] with rings */
};

static bool is(const char *key, size_t size, const char *name)
{
	return size == strlen(name) && memcmp(key, name, size) == 0;
}

static void read_ability(struct abilities *abilities, const char *key, size_t size, struct objpool_bytes value)
{
	struct objpool_reader reader = objpool_reader(value);
	uint32_t count;

	if (is(key, size, "fds"))
		(void)objpool_read_bool(&reader, &abilities->fds);
	else if (is(key, size, "fds_mark"))
		(void)objpool_read_uint(&reader, &abilities->mark);
	else if (is(key, size, "protocol") && objpool_read_array(&reader, &count) == 0 && count == 2 &&
		 objpool_read_uint(&reader, &abilities->protocol) == 0)
		(void)objpool_read_uint(&reader, &abilities->minor);
}

static struct abilities read_abilities(struct objpool_bytes hello)
{
	struct objpool_reader reader = objpool_reader(hello);
	struct abilities abilities = {0};
	struct objpool_bytes value;
	const char *key;
	size_t size;
	uint32_t count = 0;

	(void)objpool_read_map(&reader, &count);
	for (; count > 0 && objpool_read_str(&reader, &key, &size) == 0 && objpool_read_value(&reader, &value) == 0; count--)
		read_ability(&abilities, key, size, value);
	return abilities;
}

/* Descriptors are used if hello's answer has `fds`: true, and `fds_mark`. Direct channels need them. */
static void agree_on_descriptors(struct objpool_client *client, int direct)
{
	const struct abilities abilities = read_abilities(client->hello.value);

	if (!abilities.fds || abilities.mark == 0 || abilities.mark > UINT16_MAX)
		return;
	client->received.mark = (uint16_t)abilities.mark;
	client->sent.enabled = client->wire.takes_descriptors = true;
	client->channels.enabled = direct && abilities.protocol == 1 && abilities.minor >= 1 && readiness_open(client) == 0;
	client->channels.rings = direct == OBJPOOL_DIRECT_RINGS && abilities.minor >= 2;
}

static void pack_pair(struct objpool_packer *args, const char *key, const char *value)
{
	objpool_pack_cstr(args, key);
	objpool_pack_cstr(args, value);
}

/* `token`: "": none. */
static void pack_hello(struct objpool_packer *args, const char *client, const char *token, bool fds)
{
	objpool_pack_array(args, 1);
	objpool_pack_map(args, 2u + fds + (*token != '\0'));
	pack_pair(args, "client", client);
	pack_pair(args, "errors", "map");
	if (*token)
		pack_pair(args, "token", token);
	if (fds) {
		objpool_pack_cstr(args, "fds");
		objpool_pack_bool(args, true);
	}
}

static int await_greeting(struct objpool_client *client, struct objpool_bytes args, int64_t deadline)
{
	struct greeting greeting = {.result = &client->hello};
	int rc = objpool_call_async(client, "objpool.hello", args, NULL, greeting_on_answer, &greeting, NULL);

	while (rc == 0 && !greeting.done)
		rc = objpool_wait(client, clock_ms_until(deadline));
	return rc;
}

/* What objpool_connect returns where the daemon answers with that error. */
static int refusal(const struct objpool_error *error)
{
	return strcmp(error->code, "DENIED") == 0       ? -EACCES
	       : strcmp(error->code, "OVERLOADED") == 0 ? -EBUSY
							: -EPROTO;
}

/* The connection has ended before the greeting. A server of TLS 1.3 refuses a certificate only after its handshake. */
static int lost_early(const struct objpool_client *client, struct reason *reason)
{
	int error = 0;

	if (client->wire.tls)
		*reason = *client_tls_reason(client->wire.tls, &error);
	if (!error && client->close_error)
		return reason_give(reason, refusal(client->close_error), "the daemon closed the connection: %s",
				   client->close_error->message);
	return error ? error : -EPROTO;
}

static int refused(const struct objpool_error *error, struct reason *reason)
{
	return reason_give(reason, refusal(error), "%s", error->message);
}

static int say_hello(struct objpool_client *client, struct opening *opening, const char *token)
{
	const struct objpool_connect_options *options = &opening->options;
	const bool fds = !options->no_descriptors && is_unix(client->wire.fd);
	struct objpool_packer args = OBJPOOL_PACKER_INIT;

	pack_hello(&args, options->client ? options->client : program_invocation_short_name, token, fds);
	const int rc = await_greeting(client, objpool_packed(&args), opening->deadline);
	objpool_packer_free(&args);
	if (client->hello.error && strcmp(client->hello.error->code, "DISCONNECTED") != 0)
		return refused(client->hello.error, &opening->reason);
	if (rc == -ENOTCONN || client->hello.error)
		return lost_early(client, &opening->reason);
	if (rc == 0 && !client->hello.value.data)
		return -ENOMEM;
	if (rc == 0 && fds)
		agree_on_descriptors(client, options->direct);
	return rc;
}

static int read_token(struct opening *opening, int fd, bool tls, char token[TOKEN_ROOM])
{
	*token = '\0';
	if (!opening->credentials.token)
		return 0;
	if (!tls && !is_unix(fd))
		return reason_give(&opening->reason, -EINVAL, "a token goes over TLS or a Unix socket only (the token file %s)",
				   opening->credentials.token);
	return credentials_read_token(&opening->credentials, token, &opening->reason);
}

/* `host`: of an address with TLS; NULL: there is no TLS. Takes over the socket. */
static int greet(struct objpool_client **out, int fd, const char *host, struct opening *opening)
{
	struct objpool_client *client = connection_new(fd);
	char token[TOKEN_ROOM];

	if (!client)
		return -ENOMEM;
	int rc = read_token(opening, fd, host != NULL, token);
	if (rc == 0 && host)
		client->wire.tls = client_tls_open(fd, host, &opening->credentials, opening->deadline, &opening->reason, &rc);
	if (rc == 0)
		rc = say_hello(client, opening, token);
	explicit_bzero(token, sizeof token);
	if (rc < 0)
		connection_free(client);
	else
		*out = client;
	return rc;
}

int objpool_connect(struct objpool_client **client, const char *address, const struct objpool_connect_options *given)
{
	struct endpoint endpoint;
	struct opening opening;

	*client = NULL;
	int rc = opening_init(&opening, given);
	if (rc == 0)
		rc = endpoint_parse(address, &endpoint);
	if (rc < 0)
		return opening_end(&opening, rc);
	const int fd = endpoint_connect(&endpoint, opening.deadline);
	if (fd < 0)
		return opening_end(&opening, fd);
	return opening_end(&opening, greet(client, fd, endpoint.kind == ENDPOINT_TLS ? endpoint.place : NULL, &opening));
}

int objpool_adopt(struct objpool_client **client, int fd, const struct objpool_connect_options *given)
{
	struct opening opening;

	*client = NULL;
	if (opening_init(&opening, given) < 0) {
		(void)close(fd);
		return -EINVAL;
	}
	return opening_end(&opening, greet(client, fd, NULL, &opening));
}

struct objpool_client *objpool_close(struct objpool_client *client)
{
	if (!client)
		return NULL;
	client->closing = true;
	if (!client->dispatching)
		(void)turn_run(client, false, 0);
	return NULL;
}
