/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/config/json.h"

#include <jansson.h>
#include <msgpack.h>

static void pack(msgpack_packer *packer, const json_t *json)
{
	const char *key;
	json_t *item;
	size_t i;

	switch (json_typeof(json)) {
	case JSON_OBJECT:
		msgpack_pack_map(packer, json_object_size(json));
		json_object_foreach((json_t *)json, key, item) {
			msgpack_pack_str_with_body(packer, key, strlen(key));
			pack(packer, item);
		}
		break;
	case JSON_ARRAY:
		msgpack_pack_array(packer, json_array_size(json));
		json_array_foreach(json, i, item)
			pack(packer, item);
		break;
	case JSON_STRING:
		msgpack_pack_str_with_body(packer, json_string_value(json), json_string_length(json));
		break;
	case JSON_INTEGER:
		msgpack_pack_int64(packer, json_integer_value(json));
		break;
	case JSON_REAL:
		msgpack_pack_double(packer, json_real_value(json));
		break;
	case JSON_TRUE:
		msgpack_pack_true(packer);
		break;
	case JSON_FALSE:
		msgpack_pack_false(packer);
		break;
	case JSON_NULL:
		msgpack_pack_nil(packer);
		break;
	}
}

/* The packed bytes; once packing has failed, `failed` stays set. */
struct packed {
	msgpack_sbuffer bytes;
	bool failed;
};

static int keep(void *data, const char *bytes, size_t size)
{
	struct packed *packed = data;

	packed->failed = packed->failed || msgpack_sbuffer_write(&packed->bytes, bytes, size) < 0;
	return packed->failed ? -1 : 0;
}

int json_to_msgpack(const char *text, struct block **packed, struct span *value, char *reason, size_t reason_size)
{
	json_error_t error;
	struct packed buffer = {.failed = false};
	msgpack_packer packer;
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

	if (!json) {
		snprintf(reason, reason_size, "is no JSON: %s (column %d)%s", error.text, error.column,
			 strchr("[{\"", text[0]) ? "" : "; write text as \"text\", a list as [\"text\", \"text\"]");
		return -1;
	}
	msgpack_sbuffer_init(&buffer.bytes);
	msgpack_packer_init(&packer, &buffer, keep);
	pack(&packer, json);
	json_decref(json);
	*packed = buffer.failed ? NULL : block_new(NULL, buffer.bytes.size);
	if (*packed) {
		memcpy((*packed)->bytes, buffer.bytes.data, buffer.bytes.size);
		*value = (struct span){.bytes = (*packed)->bytes, .size = buffer.bytes.size};
	}
	msgpack_sbuffer_destroy(&buffer.bytes);
	if (!*packed)
		snprintf(reason, reason_size, "could not be kept: out of memory");
	return *packed ? 0 : -1;
}
