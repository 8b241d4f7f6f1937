/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/bus/nats_advisory.h"

#include "json/from_json.h"

#include <errno.h>
#include <string.h>

enum { LONGEST = 16 << 10, LEVELS = 16, WORD = 256 };

/* The value of that key. 0 or -EBADMSG. */
static int find(struct span map, const char *key, struct span *value)
{
	struct reader reader = reader_of(map);
	struct span name;
	uint32_t count;

	if (read_map(&reader, &count) < 0)
		return -EBADMSG;
	for (; count > 0; count--) {
		if (read_str(&reader, &name) < 0 || read_value(&reader, value) < 0)
			return -EBADMSG;
		if (span_is(name, key))
			return 0;
	}
	return -EBADMSG;
}

static int find_text(struct span map, const char *key, struct span *text)
{
	struct span value;

	if (find(map, key, &value) < 0)
		return -EBADMSG;
	struct reader reader = reader_of(value);
	return read_str(&reader, text);
}

static int read_advisory(struct span advisory, char name[NATS_ADVISORY_NAME])
{
	struct span client, text, reason;

	if (find_text(advisory, "reason", &reason) < 0 || span_is(reason, "Server Shutdown") ||
	    find(advisory, "client", &client) < 0 || find_text(client, "name", &text) < 0 || text.size >= NATS_ADVISORY_NAME)
		return -EBADMSG;
	memcpy(name, text.bytes, text.size);
	name[text.size] = '\0';
	return 0;
}

int nats_advisory_read(struct span json, char name[NATS_ADVISORY_NAME])
{
	char text[LONGEST + 1], reason[WORD];
	struct block *block;
	struct span advisory;

	if (json.size > LONGEST)
		return -EBADMSG;
	memcpy(text, json.bytes, json.size);
	text[json.size] = '\0';
	int r = from_json(NULL, text, json.size, LEVELS, &block, &advisory, reason, sizeof reason);
	if (r < 0)
		return r == -ENOMEM ? r : -EBADMSG;
	r = read_advisory(advisory, name);
	block_unref(block);
	return r;
}
