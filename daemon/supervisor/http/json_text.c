/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/http/json_text.h"

#include "json/to_json.h"

#include <errno.h>
#include <stdlib.h>

int json_text_put(const msgpack_sbuffer *packed, struct evbuffer *out)
{
	const struct span value = {.bytes = (const uint8_t *)packed->data, .size = packed->size};
	struct to_json json;

	to_json_begin(&json, value, TO_JSON_ALONE, out);
	(void)to_json_go_on(&json, SIZE_MAX);
	return json.failed ? -ENOMEM : 0;
}

/* The text replaces the picture's, unless it is the same. */
static void replace(struct picture *picture, struct evbuffer *text, uint64_t number)
{
	const size_t size = evbuffer_get_length(text);
	const unsigned char *bytes = evbuffer_pullup(text, -1);

	if (!bytes || (picture->text && size == picture->size && memcmp(bytes, picture->text, size) == 0))
		return;
	char *copy = size == picture->size && picture->text ? picture->text : realloc(picture->text, size);
	if (!copy)
		return;
	memcpy(copy, bytes, size);
	*picture = (struct picture){.text = copy, .size = size, .changed = number};
}

void picture_draw(struct picture *picture, const msgpack_sbuffer *packed, uint64_t number)
{
	struct evbuffer *text = evbuffer_new();

	if (!text)
		return;
	if (json_text_put(packed, text) == 0)
		replace(picture, text, number);
	evbuffer_free(text);
}

void picture_free(struct picture *picture)
{
	free(picture->text);
	*picture = (struct picture){0};
}
