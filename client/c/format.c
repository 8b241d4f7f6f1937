/* SPDX-License-Identifier: Apache-2.0 */
/*
 * format: objpool_pack, which makes msgpack from a format and arguments. The header of an array or map has the count of its
 * values, so these are counted in the format before they are packed.
 */
#include "objpool/client.h"

#include <errno.h>
#include <string.h>

/* Several functions consume the arguments in turn. A va_list can be passed on like this only within a structure. */
struct format {
	struct objpool_packer *packer;
	const char *p;
	va_list arguments;
};

static void skip_blanks(struct format *format)
{
	format->p += strspn(format->p, " \t\n,:");
}

/* How many values come before the bracket that closes the container of `p`; -EINVAL: no such bracket. */
static int64_t count_values(const char *p, char closing)
{
	int64_t count = 0;
	unsigned depth = 0;

	for (;; p++) {
		p += strspn(p, " \t\n,:");
		if (*p == '\0')
			return -EINVAL;
		if (depth == 0 && (*p == ']' || *p == '}'))
			return *p == closing ? count : -EINVAL;
		if (*p == ']' || *p == '}') {
			depth--;
			continue;
		}
		count += depth == 0;
		if (*p == '[' || *p == '{')
			depth++;
	}
}

/* Packs the header of a container. pack_all passes the closing bracket when it comes to it. */
static int open_container(struct format *format, char closing)
{
	const int64_t count = count_values(format->p, closing);

	if (count < 0 || (closing == '}' && count % 2 != 0))
		return -EINVAL;
	if (closing == ']')
		objpool_pack_array(format->packer, (uint32_t)count);
	else
		objpool_pack_map(format->packer, (uint32_t)(count / 2));
	return 0;
}

static void pack_sized(struct format *format, char kind)
{
	const void *bytes = va_arg(format->arguments, const void *);
	const size_t size = va_arg(format->arguments, size_t);

	if (kind == 'S')
		objpool_pack_str(format->packer, bytes, size);
	else
		objpool_pack_bin(format->packer, bytes, size);
}

static int pack_value(struct format *format, char kind)
{
	struct objpool_packer *packer = format->packer;

	switch (kind) {
	case '[':
		return open_container(format, ']');
	case '{':
		return open_container(format, '}');
	case 'n':
		objpool_pack_nil(packer);
		return 0;
	case 'b':
		objpool_pack_bool(packer, va_arg(format->arguments, int) != 0);
		return 0;
	case 'i':
		objpool_pack_int(packer, va_arg(format->arguments, int));
		return 0;
	case 'I':
		objpool_pack_int(packer, va_arg(format->arguments, int64_t));
		return 0;
	case 'u':
		objpool_pack_uint(packer, va_arg(format->arguments, uint64_t));
		return 0;
	case 'f':
		objpool_pack_double(packer, va_arg(format->arguments, double));
		return 0;
	case 's':
		objpool_pack_cstr(packer, va_arg(format->arguments, const char *));
		return 0;
	case 'S':
	case 'B':
		pack_sized(format, kind);
		return 0;
	case 'v':
		objpool_pack_raw(packer, va_arg(format->arguments, struct objpool_bytes));
		return 0;
	default:
		return -EINVAL;
	}
}

/* Packs values and passes closing brackets, up to the end. open_container has checked that brackets match. */
static int pack_all(struct format *format)
{
	unsigned depth = 0;

	for (skip_blanks(format); *format->p; skip_blanks(format)) {
		const char kind = *format->p++;
		if (kind == ']' || kind == '}') {
			if (depth-- == 0)
				return -EINVAL;
			continue;
		}
		const int rc = pack_value(format, kind);
		if (rc < 0)
			return rc;
		depth += kind == '[' || kind == '{';
	}
	return depth == 0 ? 0 : -EINVAL;
}

int objpool_vpack(struct objpool_packer *packer, const char *text, va_list arguments)
{
	struct format format = {.packer = packer, .p = text};
	const size_t before = packer->size;

	va_copy(format.arguments, arguments);
	const int rc = pack_all(&format);
	va_end(format.arguments);
	if (rc < 0)
		packer->size = before;
	return rc < 0 ? rc : packer->error;
}

int objpool_pack(struct objpool_packer *packer, const char *text, ...)
{
	va_list arguments;

	va_start(arguments, text);
	const int rc = objpool_vpack(packer, text, arguments);
	va_end(arguments);
	return rc;
}
