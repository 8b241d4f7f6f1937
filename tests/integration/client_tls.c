/* SPDX-License-Identifier: Apache-2.0 */
/* client_tls: libobjpool over TLS. client_tls WHAT ADDRESS [OPTION=VALUE...]: prints what came, or the error and its reason. */
#include <objpool/client.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect(int line, int right)
{
	if (right)
		return;
	printf("line %d is wrong\n", line);
	exit(1);
}
#define EXPECT(right) expect(__LINE__, (right))

static struct objpool_bytes str_of(const struct objpool_result *result)
{
	struct objpool_reader reader = objpool_reader(result->value);
	struct objpool_bytes bytes = {NULL, 0};
	const char *text;

	if (objpool_read_str(&reader, &text, &bytes.size) == 0)
		bytes.data = text;
	else
		EXPECT(objpool_read_bin(&reader, &bytes.data, &bytes.size) == 0);
	return bytes;
}

static void call(struct objpool_client *client)
{
	struct objpool_result result;

	EXPECT(objpool_callf(client, "p.echo", &result, "[s]", "hello") == 0);
	const struct objpool_bytes text = str_of(&result);
	printf("%.*s\n", (int)text.size, (const char *)text.data);
	objpool_result_free(&result);
}

static void whoami(struct objpool_client *client)
{
	struct objpool_result result;
	uint32_t count;
	const char *text;
	size_t size;

	EXPECT(objpool_callf(client, "objpool.whoami", &result, "[]") == 0);
	struct objpool_reader reader = objpool_reader(result.value);
	EXPECT(objpool_read_map(&reader, &count) == 0 && objpool_read_str(&reader, &text, &size) == 0 && size == 4);
	EXPECT(objpool_read_str(&reader, &text, &size) == 0);
	printf("%.*s\n", (int)size, text);
	objpool_result_free(&result);
}

static unsigned char *pattern(size_t size)
{
	unsigned char *bytes = malloc(size + 1);

	EXPECT(bytes != NULL);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(i * 2654435761u >> 13);
	return bytes;
}

static void echo(struct objpool_client *client, size_t size)
{
	unsigned char *bytes = pattern(size);
	struct objpool_result result;

	EXPECT(objpool_callf(client, "p.echo", &result, "[B]", (const void *)bytes, size) == 0);
	const struct objpool_bytes got = str_of(&result);
	EXPECT(got.size == size && memcmp(got.data, bytes, size) == 0);
	objpool_result_free(&result);
	free(bytes);
}

static void sizes(struct objpool_client *client)
{
	static const size_t around[] = {0,     1,     (16 << 10) - 40, (16 << 10) - 1, 16 << 10, (16 << 10) + 1, (32 << 10) + 1,
					65535, 65537, 300000};

	for (size_t i = 0; i < sizeof around / sizeof *around; i++)
		echo(client, around[i]);
	for (size_t i = (32 << 10) - 60; i < (32 << 10); i++)
		echo(client, i);
}

static void large(struct objpool_client *client)
{
	echo(client, 64 << 20);
}

static void on_echo(void *context, const struct objpool_result *result)
{
	unsigned *answers = context;

	EXPECT(!result->error);
	++*answers;
}

/* Many answers come while a large value leaves, and by turns: nobody may wait for the other. In a loop of the program's own. */
static void both(struct objpool_client *client)
{
	enum { CALLS = 3000, LARGE = 8 << 20 };
	unsigned char *bytes = pattern(LARGE);
	struct objpool_packer args = OBJPOOL_PACKER_INIT;
	unsigned answers = 0;

	for (int i = 0; i < CALLS; i++) {
		args.size = 0;
		if (i % 1000 == 0)
			objpool_pack(&args, "[B]", (const void *)bytes, (size_t)LARGE);
		else
			objpool_pack(&args, "[i]", i);
		EXPECT(objpool_call_async(client, "p.echo", objpool_packed(&args), NULL, on_echo, &answers, NULL) == 0);
	}
	while (objpool_in_flight(client) > 0) {
		struct pollfd pollfd = {.fd = objpool_fd(client), .events = objpool_events(client)};
		EXPECT(poll(&pollfd, 1, objpool_timeout_ms(client)) >= 0);
		EXPECT(objpool_dispatch(client, pollfd.revents) == 0);
	}
	EXPECT(answers == CALLS);
	objpool_packer_free(&args);
	free(bytes);
}

enum { ITEMS = 2000 };

static int next(void *context, struct objpool_packer *item)
{
	unsigned *n = context;

	if (*n == ITEMS)
		return OBJPOOL_NEXT_END;
	objpool_pack_uint(item, (*n)++);
	return OBJPOOL_NEXT_ITEM;
}

static int each(void *context, uint64_t index, struct objpool_bytes value, const struct objpool_error *error)
{
	struct objpool_reader reader = objpool_reader(value);
	uint64_t number, *sum = context;

	EXPECT(!error && objpool_read_uint(&reader, &number) == 0 && number == index);
	*sum += number;
	return 0;
}

static void map(struct objpool_client *client)
{
	unsigned given = 0;
	uint64_t sum = 0;

	EXPECT(objpool_map(client, "p.echo", next, &given, each, &sum, NULL, NULL) == 0);
	EXPECT(sum == (uint64_t)ITEMS * (ITEMS - 1) / 2);
}

/* Says when it is connected; whoever reads it ends the connection. */
static void lost(struct objpool_client *client)
{
	struct objpool_result result;

	printf("connected\n");
	fflush(stdout);
	EXPECT(objpool_callf(client, "p.sleep", &result, "[i]", 60) == -EREMOTEIO);
	printf("%s: %s\n", result.error->code, result.error->message);
	objpool_result_free(&result);
}

static void take(struct objpool_connect_options *options, const char *word)
{
	const char *value = strchr(word, '=') + 1;
	const size_t size = (size_t)(value - word - 1);
	const struct {
		const char *name, **place;
	} known[] = {{"ca", &options->tls_ca},
		     {"cert", &options->tls_cert},
		     {"key", &options->tls_key},
		     {"name", &options->tls_name},
		     {"token", &options->token_file}};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (strlen(known[i].name) == size && memcmp(known[i].name, word, size) == 0)
			*known[i].place = value;
	if (strncmp(word, "ms=", 3) == 0)
		options->timeout_ms = atoi(value);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct objpool_client *client);
	} all[] = {{"call", call}, {"whoami", whoami}, {"sizes", sizes}, {"large", large},
		   {"both", both}, {"map", map},       {"lost", lost}};
	struct objpool_connect_options options = OBJPOOL_CONNECT_OPTIONS_INIT;
	struct objpool_client *client;
	char reason[512] = "untouched";

	options.reason = reason;
	options.reason_size = sizeof reason;
	for (int i = 3; i < argc; i++)
		take(&options, argv[i]);
	const int rc = objpool_connect(&client, argv[2], &options);
	if (rc < 0) {
		printf("%s: %s\n", strerrorname_np(-rc), reason);
		return 1;
	}
	EXPECT(!*reason);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (strcmp(all[i].name, argv[1]) == 0)
			all[i].run(client);
	objpool_close(client);
	return 0;
}
