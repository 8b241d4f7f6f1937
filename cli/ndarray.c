/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ndarray.h"

#include "cli/json.h"

#include <inttypes.h>
#include <string.h>

enum { NDARRAY_HEAD = 2 };

/* Reads a dtype such as "<f8": byte order, kind, size. Other dtypes get kind 0. */
static void read_dtype(struct ndarray *array)
{
	struct objpool_reader reader = objpool_reader(array->dtype);
	const char *text;
	size_t size;

	if (objpool_read_str(&reader, &text, &size) < 0 || size != 3 || !memchr("<>|", text[0], 3) ||
	    !memchr("biuf", text[1], 4) || !memchr("1248", text[2], 4) || (text[1] == 'f' && text[2] < '4') ||
	    (text[1] == 'b' && text[2] != '1'))
		return;
	array->order = text[0];
	array->kind = text[1];
	array->item = (size_t)(text[2] - '0');
}

/* Reads the shape. False: there are too many dimensions, or one is no number. */
static bool read_shape(struct ndarray *array)
{
	struct objpool_reader reader = objpool_reader(array->dims);

	if (objpool_read_array(&reader, &array->dimensions) < 0 || array->dimensions > NDARRAY_DIMENSIONS)
		return false;
	for (uint32_t i = 0; i < array->dimensions; i++)
		if (objpool_read_uint(&reader, &array->shape[i]) < 0)
			return false;
	return true;
}

/*
 * Computes how far apart neighbours are in each dimension; and, of a dtype that read_dtype does not know, the size of an element.
 * False: the elements do not fill exactly `bytes`.
 */
static bool set_steps(struct ndarray *array, bool last_first, size_t bytes)
{
	uint64_t count = 1;

	for (uint32_t i = 0; i < array->dimensions; i++) {
		const uint32_t d = last_first ? array->dimensions - 1 - i : i;
		array->steps[d] = count;
		if (__builtin_mul_overflow(count, array->shape[d], &count))
			return false;
	}
	if (!array->kind && count > 0)
		array->item = (size_t)(bytes / count);
	return __builtin_mul_overflow(count, array->item, &count) ? false : count == bytes;
}

/* Reads: length of the header | [dtype, shape, order], zero bytes | elements. */
bool ndarray_read(struct ndarray *array, const void *data, size_t size)
{
	const unsigned char *bytes = data;
	const size_t head = size >= NDARRAY_HEAD ? (size_t)(bytes[0] << 8 | bytes[1]) : 0;
	struct objpool_reader reader = {bytes + NDARRAY_HEAD, bytes + NDARRAY_HEAD + head};
	const char *order;
	size_t order_size;
	uint32_t count;

	*array = (struct ndarray){.elements = bytes + NDARRAY_HEAD + head};
	if (head == 0 || size - NDARRAY_HEAD < head || objpool_read_array(&reader, &count) < 0 || count != 3 ||
	    objpool_read_value(&reader, &array->dtype) < 0 || objpool_read_value(&reader, &array->dims) < 0 ||
	    objpool_read_str(&reader, &order, &order_size) < 0 || order_size != 1 || !read_shape(array))
		return false;
	read_dtype(array);
	return set_steps(array, *order == 'C', size - NDARRAY_HEAD - head);
}

static void write_double(FILE *out, double number)
{
	struct objpool_packer packer = OBJPOOL_PACKER_INIT;

	objpool_pack_double(&packer, number);
	json_write(out, objpool_packed(&packer));
	objpool_packer_free(&packer);
}

static uint64_t element_bits(const struct ndarray *array, const unsigned char *at)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < array->item; i++)
		bits = bits << 8 | at[array->order == '>' ? i : array->item - 1 - i];
	return bits;
}

double ndarray_double(const struct ndarray *array, const unsigned char *at)
{
	const uint64_t bits = element_bits(array, at);
	const uint32_t narrow = (uint32_t)bits;
	double number;
	float single;

	memcpy(&single, &narrow, sizeof single);
	memcpy(&number, &bits, sizeof number);
	return array->item == sizeof single ? (double)single : number;
}

void ndarray_write_element(FILE *out, const struct ndarray *array, const unsigned char *at)
{
	const unsigned unused = 64 - 8 * (unsigned)array->item;
	const uint64_t bits = element_bits(array, at);

	if (array->kind == 'b') {
		(void)fputs(bits ? "true" : "false", out);
	} else if (array->kind == 'u') {
		(void)fprintf(out, "%" PRIu64, bits);
	} else if (array->kind == 'i') {
		(void)fprintf(out, "%" PRId64, (int64_t)(bits << unused) >> unused);
	} else {
		write_double(out, ndarray_double(array, at));
	}
}

static void begin_line(FILE *out, unsigned indent)
{
	(void)fputc('\n', out);
	while (indent-- > 0)
		(void)fputc('\t', out);
}

enum { ONE_LINE = -1 };

/* Recurses once for each dimension, NDARRAY_DIMENSIONS times at most. `indent`: of the line that this began on, or ONE_LINE. */
static void write_elements(FILE *out, const struct ndarray *array, uint32_t dimension, const unsigned char *at, int indent)
{
	if (dimension == array->dimensions) {
		ndarray_write_element(out, array, at);
		return;
	}
	const int inner = indent == ONE_LINE || dimension + 1 == array->dimensions ? ONE_LINE : indent + 1;
	(void)fputc('[', out);
	for (uint64_t i = 0; i < array->shape[dimension]; i++) {
		(void)fputs(i == 0 ? "" : inner == ONE_LINE ? ", " : ",", out);
		if (inner != ONE_LINE)
			begin_line(out, (unsigned)inner);
		write_elements(out, array, dimension + 1, at + i * array->steps[dimension] * array->item, inner);
	}
	if (inner != ONE_LINE)
		begin_line(out, (unsigned)indent);
	(void)fputc(']', out);
}

bool ndarray_is_empty(const struct ndarray *array)
{
	for (uint32_t i = 0; i < array->dimensions; i++)
		if (array->shape[i] == 0)
			return true;
	return false;
}

static bool write_array(FILE *out, const void *bytes, size_t size, int indent)
{
	struct ndarray array;

	if (!ndarray_read(&array, bytes, size))
		return false;
	if (array.kind && !ndarray_is_empty(&array)) {
		write_elements(out, &array, 0, array.elements, indent);
	} else if (array.kind) {
		(void)fputs("[]", out); /* other dimensions do not matter: there is no element */
	} else {
		(void)fputs("{\"$array\": [", out);
		json_write(out, array.dtype);
		(void)fputs(", ", out);
		json_write(out, array.dims);
		(void)fputs("]}", out);
	}
	return true;
}

bool ndarray_write(FILE *out, const void *bytes, size_t size)
{
	return write_array(out, bytes, size, ONE_LINE);
}

bool ndarray_write_pretty(FILE *out, const void *bytes, size_t size, unsigned indent)
{
	return write_array(out, bytes, size, (int)indent);
}

bool ndarray_write_object(FILE *out, const void *bytes, size_t size)
{
	const char *codec = bytes;
	const size_t n = strnlen(codec, size);

	for (size_t i = 0; i < n; i++)
		if (codec[i] < 'a' || codec[i] > 'z')
			return false;
	if (n == 0 || n == size)
		return false;
	(void)fprintf(out, "{\"$object\": \"%.*s, %zu bytes\"}", (int)n, codec, size - n - 1);
	return true;
}
