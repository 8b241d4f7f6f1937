/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/fields.h"

#include "cli/json.h"
#include "cli/shown.h"

#include <string.h>

static const struct objpool_bytes nothing = {NULL, 0};

struct objpool_bytes field(struct objpool_bytes map, const char *key)
{
	struct objpool_reader reader = objpool_reader(map);
	struct objpool_bytes value;
	const char *name;
	uint32_t count = 0;
	size_t size;

	(void)objpool_read_map(&reader, &count);
	while (count-- > 0) {
		const bool named = objpool_read_str(&reader, &name, &size) == 0;
		if ((!named && objpool_read_value(&reader, NULL) < 0) || objpool_read_value(&reader, &value) < 0)
			break;
		if (named && size == strlen(key) && memcmp(name, key, size) == 0)
			return value;
	}
	return nothing;
}

bool field_is_set(struct objpool_bytes value)
{
	static const char empty[] = "\xc0\x80\x90\xa0"; /* nil, {}, [], "" */

	return value.data && !(value.size == 1 && memchr(empty, *(const char *)value.data, sizeof empty - 1));
}

double field_number(struct objpool_bytes value, double otherwise)
{
	struct objpool_reader reader = objpool_reader(value);
	double number;

	return objpool_read_double(&reader, &number) == 0 ? number : otherwise;
}

void field_each(struct objpool_bytes array, void (*each)(void *context, struct objpool_bytes element), void *context)
{
	struct objpool_reader reader = objpool_reader(array);
	struct objpool_bytes element;
	uint32_t count = 0;

	(void)objpool_read_array(&reader, &count);
	while (count-- > 0 && objpool_read_value(&reader, &element) == 0)
		each(context, element);
}

void field_show(FILE *out, struct objpool_bytes value)
{
	struct objpool_reader reader = objpool_reader(value);
	const enum objpool_type type = objpool_read_type(&reader);
	const char *text;
	size_t size;

	if (!field_is_set(value)) {
		fputc('-', out);
	} else if (type == OBJPOOL_STR && objpool_read_str(&reader, &text, &size) == 0) {
		shown_text(out, text, size);
	} else if (type == OBJPOOL_DOUBLE) {
		fprintf(out, "%.1f", field_number(value, 0));
	} else {
		json_write(out, value);
	}
}
