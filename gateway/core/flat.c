/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/core/flat.h"

#include <stdlib.h>

struct span flat_take(struct sendq *queue)
{
	uint8_t *bytes = queue->failed ? NULL : malloc(queue->bytes);
	size_t size = 0;

	for (struct iovec iov[1]; bytes && sendq_iov(queue, iov, 1) == 1; sendq_sent(queue, iov[0].iov_len)) {
		memcpy(bytes + size, iov[0].iov_base, iov[0].iov_len);
		size += iov[0].iov_len;
	}
	sendq_clear(queue);
	return (struct span){.bytes = bytes, .size = size};
}

struct span flat_error(const struct error *error)
{
	struct sendq to = {0};

	error_pack(error, ERRORS_AS_MAP, &to);
	return flat_take(&to);
}

void flat_free(struct span flat)
{
	free((void *)(uintptr_t)flat.bytes);
}

struct span flat_error_text(struct span error, const char *key)
{
	struct reader reader = reader_of(error), inside;
	struct span name, value, text = {0};
	uint32_t count;

	if (read_text(&reader, &text) == 0)
		return strcmp(key, "message") == 0 ? text : (struct span){0};
	if (read_map(&reader, &count) < 0)
		return text;
	for (; count > 0 && read_text(&reader, &name) == 0 && read_value(&reader, &value) == 0; count--) {
		inside = reader_of(value);
		if (span_is(name, key))
			(void)read_text(&inside, &text);
	}
	return text;
}
