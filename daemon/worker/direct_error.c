/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker/direct_error.h"

#include <string.h>

static void put_text(msgpack_packer *packer, const char *text)
{
	msgpack_pack_str(packer, strlen(text));
	msgpack_pack_str_body(packer, text, strlen(text));
}

static void put_pair(msgpack_packer *packer, const char *key, const char *text)
{
	put_text(packer, key);
	put_text(packer, text);
}

static void put_number(msgpack_packer *packer, const char *key, uint64_t number)
{
	put_text(packer, key);
	msgpack_pack_uint64(packer, number);
}

static const char *code_of(const struct method_error *error)
{
	return error->code && !error->no_memory ? error->code : "FAILED";
}

static void pack_string(const struct method_error *error, msgpack_packer *packer)
{
	const char *code = code_of(error), *text = method_error_message(error);

	msgpack_pack_str(packer, strlen(code) + 2 + strlen(text));
	msgpack_pack_str_body(packer, code, strlen(code));
	msgpack_pack_str_body(packer, ": ", 2);
	msgpack_pack_str_body(packer, text, strlen(text));
}

static void pack_map(const struct method_error *error, const struct objpool_place *place, msgpack_packer *packer)
{
	const bool data = error->data && !error->no_memory;

	msgpack_pack_map(packer, 6u + (error->type != NULL) + (error->traceback != NULL) + data);
	put_pair(packer, "code", code_of(error));
	put_pair(packer, "message", method_error_message(error));
	put_pair(packer, "ran", error->ran ? error->ran : "yes");
	if (error->type)
		put_pair(packer, "type", error->type);
	if (error->traceback)
		put_pair(packer, "traceback", error->traceback);
	put_pair(packer, "pool", place->pool);
	put_number(packer, "slot", place->slot);
	put_number(packer, "generation", place->generation);
	if (!data)
		return;
	put_text(packer, "data");
	msgpack_pack_bin(packer, error->data_size);
	msgpack_pack_bin_body(packer, error->data, error->data_size);
}

void direct_error_pack(const struct method_error *error, const struct objpool_place *place, enum error_form form,
		       msgpack_packer *packer)
{
	if (form == ERRORS_AS_MAP) {
		pack_map(error, place, packer);
		return;
	}
	if (form == ERRORS_AS_PAIR) {
		msgpack_pack_array(packer, 2);
		msgpack_pack_int(packer, 0);
	}
	pack_string(error, packer);
}
