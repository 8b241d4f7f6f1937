/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/json.h"
#include "proto/base64.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_LEVELS = 32 }; /* what a worker takes apart */

static int pack_json(struct objpool_packer *packer, const json_t *json, int levels);

/* The decoded bytes, in new memory; NULL: it is no base64 text. */
static unsigned char *decode(const json_t *json, size_t *size)
{
	if (!json_is_string(json))
		return NULL;
	unsigned char *bytes = malloc(json_string_length(json) + 1);
	const int64_t n = bytes ? base64_read(bytes, json_string_value(json), json_string_length(json)) : -1;
	if (n < 0) {
		free(bytes);
		return NULL;
	}
	*size = (size_t)n;
	return bytes;
}

static int pack_bytes(struct objpool_packer *packer, const json_t *json, bool text)
{
	size_t size;
	unsigned char *bytes = decode(json, &size);

	if (!bytes)
		return -ERANGE;
	if (text)
		objpool_pack_str(packer, (const char *)bytes, size);
	else
		objpool_pack_bin(packer, bytes, size);
	free(bytes);
	return 0;
}

static int pack_ext(struct objpool_packer *packer, const json_t *json)
{
	const json_t *type = json_array_get(json, 0);
	size_t size;

	if (json_array_size(json) != 2 || !json_is_integer(type) || json_integer_value(type) < INT8_MIN ||
	    json_integer_value(type) > INT8_MAX)
		return -ERANGE;
	unsigned char *bytes = decode(json_array_get(json, 1), &size);
	if (!bytes)
		return -ERANGE;
	objpool_pack_ext(packer, (int8_t)json_integer_value(type), bytes, size);
	free(bytes);
	return 0;
}

static int pack_float(struct objpool_packer *packer, const json_t *json)
{
	const char *text = json_string_value(json);

	if (!text)
		return -ERANGE;
	if (strcmp(text, "nan") == 0)
		objpool_pack_double(packer, NAN);
	else if (strcmp(text, "inf") == 0)
		objpool_pack_double(packer, INFINITY);
	else if (strcmp(text, "-inf") == 0)
		objpool_pack_double(packer, -INFINITY);
	else
		return -ERANGE;
	return 0;
}

static int pack_uint(struct objpool_packer *packer, const json_t *json)
{
	const char *text = json_string_value(json);
	char *end;

	if (!text || *text < '0' || *text > '9')
		return -ERANGE;
	errno = 0;
	const uint64_t value = strtoull(text, &end, 10);
	if (errno || *end)
		return -ERANGE;
	objpool_pack_uint(packer, value);
	return 0;
}

static int pack_pairs(struct objpool_packer *packer, const json_t *json, int levels)
{
	if (!json_is_array(json))
		return -ERANGE;
	objpool_pack_map(packer, (uint32_t)json_array_size(json));
	for (size_t i = 0; i < json_array_size(json); i++) {
		const json_t *pair = json_array_get(json, i);
		if (json_array_size(pair) != 2)
			return -ERANGE;
		int rc = pack_json(packer, json_array_get(pair, 0), levels);
		if (rc == 0)
			rc = pack_json(packer, json_array_get(pair, 1), levels);
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* An object with one key that begins with $. */
static int pack_special(struct objpool_packer *packer, const char *key, const json_t *value, int levels)
{
	if (strcmp(key, "$bin") == 0)
		return pack_bytes(packer, value, false);
	if (strcmp(key, "$str") == 0)
		return pack_bytes(packer, value, true);
	if (strcmp(key, "$ext") == 0)
		return pack_ext(packer, value);
	if (strcmp(key, "$float") == 0)
		return pack_float(packer, value);
	if (strcmp(key, "$uint") == 0)
		return pack_uint(packer, value);
	if (strcmp(key, "$map") == 0)
		return pack_pairs(packer, value, levels);
	return -ERANGE;
}

static int pack_object(struct objpool_packer *packer, const json_t *json, int levels)
{
	void *i = json_object_iter((json_t *)(uintptr_t)json);
	int rc = 0;

	if (json_object_size(json) == 1 && json_object_iter_key(i)[0] == '$')
		return pack_special(packer, json_object_iter_key(i), json_object_iter_value(i), levels);
	objpool_pack_map(packer, (uint32_t)json_object_size(json));
	for (; i && rc == 0; i = json_object_iter_next((json_t *)(uintptr_t)json, i)) {
		objpool_pack_str(packer, json_object_iter_key(i), json_object_iter_key_len(i));
		rc = pack_json(packer, json_object_iter_value(i), levels);
	}
	return rc;
}

static int pack_list(struct objpool_packer *packer, const json_t *json, int levels)
{
	int rc = 0;

	objpool_pack_array(packer, (uint32_t)json_array_size(json));
	for (size_t i = 0; i < json_array_size(json) && rc == 0; i++)
		rc = pack_json(packer, json_array_get(json, i), levels);
	return rc;
}

static int pack_json(struct objpool_packer *packer, const json_t *json, int levels)
{
	if (levels < 0)
		return -ERANGE;
	switch (json_typeof(json)) {
	case JSON_OBJECT:
		return pack_object(packer, json, levels - 1);
	case JSON_ARRAY:
		return pack_list(packer, json, levels - 1);
	case JSON_STRING:
		objpool_pack_str(packer, json_string_value(json), json_string_length(json));
		return 0;
	case JSON_INTEGER:
		objpool_pack_int(packer, json_integer_value(json));
		return 0;
	case JSON_REAL:
		objpool_pack_double(packer, json_real_value(json));
		return 0;
	case JSON_TRUE:
	case JSON_FALSE:
		objpool_pack_bool(packer, json_is_true(json));
		return 0;
	case JSON_NULL:
		objpool_pack_nil(packer);
		return 0;
	}
	return -EINVAL;
}

/* Is this error of the parser one of text that is meant as JSON? Such text is not taken for a plain string. */
static bool is_json_all_the_same(enum json_error_code code)
{
	return code == json_error_numeric_overflow || code == json_error_duplicate_key || code == json_error_stack_overflow;
}

static json_t *parse(const char *text, size_t size, json_error_t *error)
{
	return json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, error);
}

/* The digits of an integer at `i` that needs all 64 bits; 0: no such integer begins there. */
static size_t large_integer(const char *text, size_t size, size_t i)
{
	size_t n = 0;

	if (i > 0 && strchr("-+.eE0123456789", text[i - 1]))
		return 0;
	while (i + n < size && text[i + n] >= '0' && text[i + n] <= '9')
		n++;
	if (i + n < size && strchr(".eE", text[i + n]))
		return 0;
	return n == 19 || n == 20 ? n : 0;
}

/* Where the string that begins at `i` ends. */
static size_t skip_string(const char *text, size_t size, size_t i)
{
	for (i++; i < size && text[i] != '"'; i++)
		if (text[i] == '\\')
			i++;
	return i < size ? i + 1 : size;
}

/*
 * Makes $uint objects of integers that need all 64 bits: they are written as plain numbers, but the parser's integers have only
 * 63 bits and a sign. The caller frees the new text; NULL: out of memory.
 */
static char *wrap_large_integers(const char *text, size_t size, size_t *wrapped)
{
	char *copy = NULL;
	FILE *out = open_memstream(&copy, wrapped);

	for (size_t i = 0, n; out && i < size; i += n) {
		const size_t digits = large_integer(text, size, i);
		n = digits ? digits : text[i] == '"' ? skip_string(text, size, i) - i : 1;
		fputs(digits ? "{\"$uint\": \"" : "", out);
		(void)fwrite(text + i, 1, n, out);
		fputs(digits ? "\"}" : "", out);
	}
	return out && fclose(out) == 0 ? copy : NULL;
}

static json_t *parse_large(const char *text, size_t size, json_error_t *error)
{
	size_t wrapped = 0;
	char *copy = wrap_large_integers(text, size, &wrapped);
	json_t *json = copy ? parse(copy, wrapped, error) : NULL;

	free(copy);
	return json;
}

int json_read(struct objpool_packer *packer, const char *text, size_t size, char *reason, size_t reason_size)
{
	json_error_t error, overflow = {.text = ""};
	const size_t before = packer->size;
	json_t *json = parse(text, size, &error);

	if (!json && json_error_code(&error) == json_error_numeric_overflow) {
		overflow = error;
		json = parse_large(text, size, &error);
	}
	if (!json) {
		snprintf(reason, reason_size, "%s", error.text);
		return is_json_all_the_same(json_error_code(&error)) ? -ERANGE : -EINVAL;
	}
	int rc = pack_json(packer, json, JSON_LEVELS);
	json_decref(json);
	if (rc == 0)
		rc = packer->error;
	if (rc < 0)
		packer->size = before;
	if (rc == -ERANGE && overflow.text[0]) /* the number is too large for 64 bits, too */
		snprintf(reason, reason_size, "%s", overflow.text);
	else if (rc == -ERANGE)
		snprintf(reason, reason_size, "a malformed $-object, or more than %d levels", JSON_LEVELS);
	return rc;
}
