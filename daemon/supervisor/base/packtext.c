/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/supervisor/base/packtext.h"

#include "daemon/core/base/error.h"

#include <string.h>

void pack_text(msgpack_packer *packer, const char *text)
{
	const size_t size = text ? strlen(text) : 0;
	char copy[1024];

	if (size > 0 && size < sizeof copy) {
		memcpy(copy, text, size);
		error_make_utf8(copy, size);
		text = copy;
	}
	msgpack_pack_str(packer, size);
	msgpack_pack_str_body(packer, text, size);
}

void pair_text(msgpack_packer *packer, const char *key, const char *text)
{
	pack_text(packer, key);
	pack_text(packer, text);
}

void pair_text_or_nil(msgpack_packer *packer, const char *key, const char *text)
{
	pack_text(packer, key);
	if (text)
		pack_text(packer, text);
	else
		msgpack_pack_nil(packer);
}

void pair_number(msgpack_packer *packer, const char *key, uint64_t number)
{
	pack_text(packer, key);
	msgpack_pack_uint64(packer, number);
}

void pair_flag(msgpack_packer *packer, const char *key, bool flag)
{
	pack_text(packer, key);
	(flag ? msgpack_pack_true : msgpack_pack_false)(packer);
}

void pair_seconds(msgpack_packer *packer, const char *key, uint64_t nanoseconds)
{
	pack_text(packer, key);
	msgpack_pack_double(packer, (double)nanoseconds / 1e9);
}
