/* SPDX-License-Identifier: Apache-2.0 */
/* Text that is meant as JSON: what is packed of it must be one whole value, and what is written of that must be packed as the same
 * bytes. Or, when the input begins with 0xc1: packed values of strangers, which are written. */
#include "json/from_json.h"
#include "json/to_json.h"
#include "proto/scan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { LEVELS = 34 };

static char *write_json(struct span value, size_t piece, size_t *size)
{
	struct evbuffer *out = evbuffer_new();
	struct to_json json;

	to_json_begin(&json, value, TO_JSON_ALONE, out);
	while (!to_json_go_on(&json, piece))
		;
	if (json.failed)
		abort();
	*size = evbuffer_get_length(out);
	char *text = malloc(*size + 1);
	(void)evbuffer_remove(out, text, *size);
	text[*size] = '\0';
	evbuffer_free(out);
	return text;
}

static void check_same(struct span value)
{
	struct block *again;
	struct span same;
	char reason[256];
	size_t size;
	char *text = write_json(value, 1 + value.size % 50, &size);

	if (from_json(NULL, text, size, LEVELS, &again, &same, reason, sizeof reason) < 0)
		abort();
	if (same.size != value.size || memcmp(same.bytes, value.bytes, value.size) != 0)
		abort();
	block_unref(again);
	free(text);
}

static void write_packed(const uint8_t *bytes, size_t size)
{
	const int64_t length = scan_length(bytes, size);
	size_t written;

	if (length <= 0 || scan_nesting(bytes, (size_t)length) > SCAN_STACK)
		return;
	free(write_json((struct span){.bytes = bytes, .size = (size_t)length}, 20, &written));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct block *packed;
	struct span value;
	char reason[256];

	if (size > 0 && bytes[0] == 0xc1) {
		write_packed(bytes + 1, size - 1);
		return 0;
	}
	char *text = malloc(size + 1);
	memcpy(text, bytes, size);
	text[size] = '\0';
	if (from_json(NULL, text, size, LEVELS, &packed, &value, reason, sizeof reason) == 0) {
		if (scan_length(value.bytes, value.size) != (int64_t)value.size || scan_nesting(value.bytes, value.size) > LEVELS)
			abort();
		check_same(value);
		block_unref(packed);
	} else if (strncmp(reason, "line ", 5) != 0) {
		abort();
	}
	free(text);
	return 0;
}
