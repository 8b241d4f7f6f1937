/* SPDX-License-Identifier: Apache-2.0 */
/* connect: the beginning of a connection, with the greeting, and its end. */
#include "client/c/connection.h"
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

static int64_t greeting_deadline(const struct objpool_connect_options *options)
{
	const int ms = options->timeout_ms ? options->timeout_ms : CONNECT_TIMEOUT_MS;
	return ms < 0 ? 0 : clock_now() + (int64_t)ms * CLOCK_NS_PER_MS;
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

static int say_hello(struct objpool_client *client, const struct objpool_connect_options *options, int64_t deadline)
{
	const char *name = options->client ? options->client : program_invocation_short_name;
	struct greeting greeting = {.result = &client->hello};
	struct objpool_packer args = OBJPOOL_PACKER_INIT;

	const bool fds = !options->no_descriptors && is_unix(client->wire.fd);
	const char *format = fds ? "[{s: s, s: s, s: b}]" : "[{s: s, s: s}]";
	int rc = objpool_pack(&args, format, "client", name, "errors", "map", "fds", true);
	if (rc == 0)
		rc = objpool_call_async(client, "objpool.hello", objpool_packed(&args), NULL, greeting_on_answer, &greeting,
					NULL);
	objpool_packer_free(&args);
	while (rc == 0 && !greeting.done)
		rc = objpool_wait(client, clock_ms_until(deadline));
	if (rc == 0 && !client->hello.value.data)
		rc = client->hello.error ? -EPROTO : -ENOMEM;
	if (rc == 0 && fds)
		agree_on_descriptors(client, options->direct);
	return rc == -ENOTCONN ? -EPROTO : rc;
}

static int greet(struct objpool_client **out, int fd, const struct objpool_connect_options *options, int64_t deadline)
{
	struct objpool_client *client = connection_new(fd);

	if (!client)
		return -ENOMEM;
	const int rc = say_hello(client, options, deadline);
	if (rc < 0) {
		connection_free(client);
		return rc;
	}
	*out = client;
	return 0;
}

int objpool_connect(struct objpool_client **client, const char *address, const struct objpool_connect_options *given)
{
	struct objpool_connect_options options;

	*client = NULL;
	if (OPTIONS_TAKE(&options, given) < 0)
		return -EINVAL;
	const int64_t deadline = greeting_deadline(&options);
	const int fd = endpoint_connect(address, deadline);
	return fd < 0 ? fd : greet(client, fd, &options, deadline);
}

int objpool_adopt(struct objpool_client **client, int fd, const struct objpool_connect_options *given)
{
	struct objpool_connect_options options;

	*client = NULL;
	if (OPTIONS_TAKE(&options, given) < 0) {
		(void)close(fd);
		return -EINVAL;
	}
	return greet(client, fd, &options, greeting_deadline(&options));
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
