/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/settings.h"

#include "proto/gateway_link.h"

#include <errno.h>
#include <stdlib.h>

static bool read_message_number(struct reader *reader, uint32_t *count, uint64_t *number)
{
	return read_array(reader, count) == 0 && *count > 0 && read_uint(reader, number) == 0;
}

bool settings_are_in(struct span message)
{
	struct reader reader = reader_of(message);
	uint32_t count;
	uint64_t number;

	return read_message_number(&reader, &count, &number) && number == TO_GATEWAY_CONFIG;
}

static int copy_text(char **to, struct span value)
{
	struct reader reader = reader_of(value);
	struct span text;

	if (read_nil(&reader) == 0)
		return 0;
	if (*to || read_text(&reader, &text) < 0 || text.size == 0 || memchr(text.bytes, 0, text.size))
		return -EBADMSG;
	*to = strndup((const char *)text.bytes, text.size);
	return *to ? 0 : -ENOMEM;
}

static int copy_servers(struct settings *settings, struct span value)
{
	struct reader reader = reader_of(value);
	struct span one;
	uint32_t count;
	int r = read_array(&reader, &count) < 0 || count > GATEWAY_SERVERS_MAX || settings->server_count > 0 ? -EBADMSG : 0;

	for (; r == 0 && count > 0; count--) {
		r = read_value(&reader, &one) < 0 ? -EBADMSG : copy_text(&settings->servers[settings->server_count], one);
		settings->server_count += r == 0 && settings->servers[settings->server_count];
	}
	return r;
}

static int read_key(struct settings *settings, struct span key, struct span value)
{
	const struct {
		const char *key;
		char **to;
	} texts[] = {{"name", &settings->name}, {"domain", &settings->domain}, {"ca", &settings->ca},
		     {"cert", &settings->cert}, {"key", &settings->key},       {"creds", &settings->creds}};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (span_is(key, texts[i].key))
			return copy_text(texts[i].to, value);
	return span_is(key, "bus") ? copy_servers(settings, value) : 0;
}

static int read_all(struct settings *settings, struct reader *reader)
{
	struct span key, value;
	uint64_t number;
	uint32_t count;

	if (!read_message_number(reader, &count, &number) || count < 2 || read_map(reader, &count) < 0)
		return -EBADMSG;
	for (; count > 0; count--) {
		const int r = read_text(reader, &key) < 0 || read_value(reader, &value) < 0 ? -EBADMSG
											    : read_key(settings, key, value);
		if (r < 0)
			return r;
	}
	return settings->name && settings->domain && settings->server_count > 0 ? 0 : -EBADMSG;
}

int settings_read(struct settings *settings, struct span message)
{
	struct reader reader = reader_of(message);

	*settings = (struct settings){0};
	const int r = read_all(settings, &reader);
	if (r < 0)
		settings_free(settings);
	return r;
}

static bool same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool settings_equal(const struct settings *a, const struct settings *b)
{
	bool equal = same(a->name, b->name) && same(a->domain, b->domain) && same(a->ca, b->ca) && same(a->cert, b->cert) &&
		     same(a->key, b->key) && same(a->creds, b->creds) && a->server_count == b->server_count;

	for (uint32_t i = 0; equal && i < a->server_count; i++)
		equal = same(a->servers[i], b->servers[i]);
	return equal;
}

void settings_free(struct settings *settings)
{
	for (uint32_t i = 0; i < settings->server_count; i++)
		free(settings->servers[i]);
	free(settings->name);
	free(settings->domain);
	free(settings->ca);
	free(settings->cert);
	free(settings->key);
	free(settings->creds);
	*settings = (struct settings){0};
}
