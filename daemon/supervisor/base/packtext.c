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
