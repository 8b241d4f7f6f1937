/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/service/body.h"

#include "json/from_json.h"
#include "json/to_json.h"
#include "proto/scan.h"

#include <errno.h>
#include <strings.h>

enum { LEVELS = SCAN_LEVELS + 2 }; /* of arguments, or of options with keywords */

/* Is the type in the header this one, with or without parameters behind it ("application/json; charset=utf-8")? */
static bool is_type(const char *type, const char *name)
{
	const size_t size = strlen(name);

	return strncasecmp(type, name, size) == 0 && (type[size] == '\0' || strchr("; \t", type[size]));
}

static bool begins_as_json(uint8_t first)
{
	return first != '\0' && strchr(" \t\r\n[{\"-tfn0123456789", first);
}

int body_find_form(struct span body, const char *type, enum body_form *form, struct error *error)
{
	*form = body.size == 0 || begins_as_json(body.bytes[0]) ? BODY_JSON : BODY_MSGPACK;
	if (!type)
		return 0;
	if (is_type(type, "application/msgpack") || is_type(type, "application/x-msgpack") ||
	    is_type(type, "application/vnd.msgpack")) {
		*form = BODY_MSGPACK;
		return 0;
	}
	*form = BODY_JSON;
	if (is_type(type, "application/json"))
		return 0;
	error_say(error, ERROR_BAD_REQUEST, RAN_NO,
		  "Content-Type is \"%.80s\": it must be application/json or application/msgpack", type);
	return -1;
}

/* What is said of large values' descriptors is between a client and its own daemon: here it would stand for somebody else's. */
static int check(const char *what, struct span value, struct error *error)
{
	struct scan scan;

	scan_begin(&scan, value.size);
	if (scan_run(&scan, value.bytes, value.size) != 1 || scan.pos != value.size)
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "%s is not one msgpack value", what);
	else if (scan.deep)
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "%s is nested deeper than %d levels", what, SCAN_LEVELS);
	else if (scan.refs > 0)
		error_say(error, ERROR_BAD_REQUEST, RAN_NO,
			  "%s has a value that stands for a descriptor, which the bus can't carry", what);
	else
		return 0;
	return -1;
}

static int read_json_text(const char *what, struct span body, struct account *account, struct block **block, struct span *value,
			  struct error *error)
{
	struct block *text = block_new(account, body.size + 1); /* it must end with a NUL */
	char reason[256];
	int r = -ENOMEM;

	if (text) {
		memcpy(text->bytes, body.bytes, body.size);
		text->bytes[body.size] = '\0';
		r = from_json(account, (const char *)text->bytes, body.size, LEVELS, block, value, reason, sizeof reason);
	}
	block_unref(text);
	if (r == -ENOMEM)
		error_say(error, ERROR_OVERLOADED, RAN_NO, "the gateway is out of memory");
	else if (r < 0)
		error_say(error, ERROR_BAD_REQUEST, RAN_NO, "%s is no JSON that can be packed: %s", what, reason);
	return r < 0 ? -1 : 0;
}

int body_read(enum body_form form, const char *what, struct span body, struct account *account, struct block **block,
	      struct span *value, struct error *error)
{
	*block = NULL;
	*value = body;
	if (form == BODY_JSON && read_json_text(what, body, account, block, value, error) < 0)
		return -1;
	if (check(what, *value, error) == 0)
		return 0;
	*block = block_unref(*block);
	return -1;
}

struct evbuffer *body_text(struct span value)
{
	struct evbuffer *text = evbuffer_new();
	struct to_json json;

	if (!text)
		return NULL;
	to_json_begin(&json, value, TO_JSON_ALONE, text);
	(void)to_json_go_on(&json, SIZE_MAX);
	if (!json.failed)
		return text;
	evbuffer_free(text);
	return NULL;
}
