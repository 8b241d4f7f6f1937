/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/npy.h"

#include "cli/ndarray.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { NPY_ALIGNED = 64, NPY_LEAD = 10, NPY_HEADER = 0xffff, NPY_FIELDS = 16 };

static int refuse(struct npy *npy, const char *reason)
{
	npy->reason = reason;
	return -1;
}

/* What the values have in common. */

static struct objpool_bytes copy(struct objpool_bytes bytes)
{
	void *data = malloc(bytes.size);

	return (struct objpool_bytes){data ? memcpy(data, bytes.data, bytes.size) : NULL, bytes.size};
}

static bool is_same(struct objpool_bytes a, struct objpool_bytes b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* Reads an ARRAY. False: the value is none. */
static bool read_ndarray(struct objpool_reader reader, struct ndarray *array)
{
	const void *bytes;
	size_t size;
	int8_t type;

	return objpool_read_ext(&reader, &type, &bytes, &size) == 0 && type == EXT_ARRAY && ndarray_read(array, bytes, size);
}

static int learn_ndarray(struct npy *npy, const struct ndarray *array)
{
	if (npy->kind == NPY_ARRAYS)
		return is_same(npy->dtype, array->dtype) && is_same(npy->dims, array->dims)
			       ? 0
			       : refuse(npy, "arrays differ in dtype or shape");
	if (npy->kind != NPY_EMPTY)
		return refuse(npy, "there are arrays, and numbers in their place");
	npy->kind = NPY_ARRAYS;
	npy->dtype = copy(array->dtype);
	npy->dims = copy(array->dims);
	return npy->dtype.data && npy->dims.data ? 0 : refuse(npy, "out of memory");
}

static int learn_number(struct npy *npy, struct objpool_reader reader, enum objpool_type type)
{
	int64_t number = 0;

	if (npy->kind != NPY_EMPTY && npy->kind != (type == OBJPOOL_BOOL ? NPY_BOOLEANS : NPY_NUMBERS))
		return refuse(npy, "numbers, booleans and arrays stand in each other's place");
	npy->kind = type == OBJPOOL_BOOL ? NPY_BOOLEANS : NPY_NUMBERS;
	if (type == OBJPOOL_DOUBLE)
		npy->fraction = true;
	else if (type == OBJPOOL_INT && objpool_read_int(&reader, &number) < 0)
		npy->large = true;
	npy->negative = npy->negative || number < 0;
	return 0;
}

/* What is no array of msgpack. */
static int learn_leaf(struct npy *npy, struct objpool_reader reader, unsigned level)
{
	const enum objpool_type type = objpool_read_type(&reader);
	struct ndarray array;

	if (npy->kind == NPY_EMPTY && npy->known > level)
		return refuse(npy, "arrays and numbers stand in each other's place");
	if (npy->kind != NPY_EMPTY && npy->levels != level)
		return refuse(npy, "arrays within arrays are not equally deep");
	npy->levels = npy->known = level;
	if (type == OBJPOOL_BOOL || type == OBJPOOL_INT || type == OBJPOOL_DOUBLE)
		return learn_number(npy, reader, type);
	if (type == OBJPOOL_EXT && read_ndarray(reader, &array))
		return learn_ndarray(npy, &array);
	return refuse(npy, "there is something else than numbers, booleans and arrays of them");
}

static int learn(struct npy *npy, struct objpool_reader *reader, unsigned level)
{
	struct objpool_bytes item = {NULL, 0};
	uint32_t count;

	if (objpool_read_array(reader, &count) < 0)
		return learn_leaf(npy, *reader, level);
	if (level == NPY_DIMENSIONS - NDARRAY_DIMENSIONS)
		return refuse(npy, "there are too many arrays within each other");
	if (npy->kind != NPY_EMPTY && level >= npy->levels)
		return refuse(npy, "arrays within arrays are not equally deep");
	if (level < npy->known && npy->lengths[level] != count)
		return refuse(npy, "arrays differ in length");
	npy->lengths[level] = count;
	if (level >= npy->known)
		npy->known = level + 1;
	for (uint32_t i = 0; i < count; i++) {
		(void)objpool_read_value(reader, &item);
		struct objpool_reader inner = objpool_reader(item);
		if (learn(npy, &inner, level + 1) < 0)
			return -1;
	}
	return 0;
}

int npy_learn(struct npy *npy, struct objpool_bytes value)
{
	struct objpool_reader reader = objpool_reader(value);

	return learn(npy, &reader, 0);
}

/* The header: a dictionary, as Python writes it. */

/* A string of Python. */
static int write_text(struct npy *npy, FILE *out, struct objpool_reader *reader)
{
	const char *text = "";
	size_t size = 0;

	if (objpool_read_str(reader, &text, &size) < 0)
		return refuse(npy, "an array's dtype is malformed");
	(void)fputc('\'', out);
	for (size_t i = 0; i < size; i++) {
		if (text[i] < ' ' || text[i] > '~')
			return refuse(npy, "an array's dtype has a name with others than ASCII characters");
		(void)fprintf(out, text[i] == '\'' || text[i] == '\\' ? "\\%c" : "%c", text[i]);
	}
	(void)fputc('\'', out);
	return 0;
}

static int write_dtype(struct npy *npy, FILE *out, struct objpool_reader *reader, unsigned level);

/* A tuple of numbers. */
static int write_dims(struct npy *npy, FILE *out, struct objpool_reader *reader)
{
	uint32_t count;
	uint64_t length;

	if (objpool_read_array(reader, &count) < 0)
		return refuse(npy, "an array's shape is malformed");
	(void)fputc('(', out);
	while (count-- > 0) {
		if (objpool_read_uint(reader, &length) < 0)
			return refuse(npy, "an array's shape is malformed");
		(void)fprintf(out, "%" PRIu64 ", ", length);
	}
	(void)fputc(')', out);
	return 0;
}

/* A field's name, or [title, name]. */
static int write_name(struct npy *npy, FILE *out, struct objpool_reader *reader)
{
	uint32_t count;

	if (objpool_read_array(reader, &count) < 0)
		return write_text(npy, out, reader);
	(void)fputc('(', out);
	if (count != 2 || write_text(npy, out, reader) < 0 || (fputs(", ", out), write_text(npy, out, reader)) < 0)
		return refuse(npy, "an array's dtype is malformed");
	(void)fputc(')', out);
	return 0;
}

/* [name, dtype] or [name, dtype, shape] */
static int write_field(struct npy *npy, FILE *out, struct objpool_reader *reader, unsigned level)
{
	uint32_t count;

	if (objpool_read_array(reader, &count) < 0 || count < 2 || count > 3)
		return refuse(npy, "an array's dtype is malformed");
	(void)fputc('(', out);
	if (write_name(npy, out, reader) < 0)
		return -1;
	(void)fputs(", ", out);
	if (write_dtype(npy, out, reader, level + 1) < 0)
		return -1;
	(void)fputs(count == 3 ? ", " : "", out);
	if (count == 3 && write_dims(npy, out, reader) < 0)
		return -1;
	(void)fputc(')', out);
	return 0;
}

static int write_dtype(struct npy *npy, FILE *out, struct objpool_reader *reader, unsigned level)
{
	uint32_t count;

	if (objpool_read_array(reader, &count) < 0)
		return write_text(npy, out, reader);
	if (level == NPY_FIELDS)
		return refuse(npy, "an array's dtype has too many levels");
	(void)fputc('[', out);
	while (count-- > 0) {
		if (write_field(npy, out, reader, level) < 0)
			return -1;
		(void)fputs(", ", out);
	}
	(void)fputc(']', out);
	return 0;
}

static int write_shape(struct npy *npy, FILE *out, const uint64_t *count)
{
	struct objpool_reader dims = objpool_reader(npy->dims);
	uint32_t dimensions = 0;
	uint64_t length;

	(void)fputc('(', out);
	if (count)
		(void)fprintf(out, "%" PRIu64 ", ", *count);
	for (unsigned i = 0; i < npy->known; i++)
		(void)fprintf(out, "%" PRIu64 ", ", npy->lengths[i]);
	if (npy->kind == NPY_ARRAYS)
		(void)objpool_read_array(&dims, &dimensions);
	while (dimensions-- > 0 && objpool_read_uint(&dims, &length) == 0)
		(void)fprintf(out, "%" PRIu64 ", ", length);
	(void)fputc(')', out);
	return 0;
}

static int write_type(struct npy *npy, FILE *out)
{
	struct objpool_reader dtype = objpool_reader(npy->dtype);

	if (npy->kind == NPY_ARRAYS)
		return write_dtype(npy, out, &dtype, 0);
	if (npy->negative && npy->large && !npy->fraction)
		return refuse(npy, "no type of numpy holds all of these integers");
	if (npy->kind == NPY_BOOLEANS)
		(void)fputs("'|b1'", out);
	else if (npy->kind == NPY_EMPTY || npy->fraction)
		(void)fputs("'<f8'", out);
	else
		(void)fputs(npy->large ? "'<u8'" : "'<i8'", out);
	return 0;
}

static int write_dictionary(struct npy *npy, FILE *out, const uint64_t *count)
{
	(void)fputs("{'descr': ", out);
	if (write_type(npy, out) < 0)
		return -1;
	(void)fputs(", 'fortran_order': False, 'shape': ", out);
	if (write_shape(npy, out, count) < 0)
		return -1;
	(void)fputs(", }", out);
	return 0;
}

/* Blanks and an end of line fill the header up, so that the elements begin at a multiple of 64 bytes. */
static int write_lead(struct npy *npy, FILE *out, const char *dictionary, size_t size)
{
	const size_t whole = (NPY_LEAD + size + 1 + NPY_ALIGNED - 1) / NPY_ALIGNED * NPY_ALIGNED, header = whole - NPY_LEAD;

	if (header > NPY_HEADER)
		return refuse(npy, "an array's dtype is too long for version 1.0 of the format");
	(void)fwrite("\x93NUMPY\x01\x00", 1, 8, out);
	(void)fputc((int)(header & 0xff), out);
	(void)fputc((int)(header >> 8), out);
	(void)fprintf(out, "%s%*s\n", dictionary, (int)(header - size - 1), "");
	return 0;
}

int npy_write_header(struct npy *npy, FILE *out, const uint64_t *count)
{
	char *text = NULL;
	size_t size = 0;
	FILE *memory = open_memstream(&text, &size);

	if (!memory)
		return refuse(npy, "out of memory");
	int rc = write_dictionary(npy, memory, count);
	if (fclose(memory) != 0)
		rc = refuse(npy, "out of memory");
	if (rc == 0)
		rc = write_lead(npy, out, text, size);
	free(text);
	return rc;
}

/* The elements, the last index fastest. */

/* Recurses once for each dimension. */
static void write_elements(FILE *out, const struct ndarray *array, uint32_t dimension, const unsigned char *at)
{
	if (dimension == array->dimensions) {
		(void)fwrite(at, 1, array->item, out);
		return;
	}
	if (dimension + 1 == array->dimensions && array->steps[dimension] == 1) {
		(void)fwrite(at, array->item, (size_t)array->shape[dimension], out);
		return;
	}
	for (uint64_t i = 0; i < array->shape[dimension]; i++)
		write_elements(out, array, dimension + 1, at + i * array->steps[dimension] * array->item);
}

static void write_bits(FILE *out, uint64_t bits)
{
	unsigned char bytes[8];

	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(bits >> 8 * i);
	(void)fwrite(bytes, 1, sizeof bytes, out);
}

static void write_number(const struct npy *npy, FILE *out, struct objpool_reader reader)
{
	uint64_t bits = 0;
	int64_t number;
	double real = 0;

	if (npy->fraction) {
		(void)objpool_read_double(&reader, &real);
		memcpy(&bits, &real, sizeof bits);
	} else if (objpool_read_int(&reader, &number) == 0) {
		bits = (uint64_t)number;
	} else {
		(void)objpool_read_uint(&reader, &bits);
	}
	write_bits(out, bits);
}

static void write_leaf(const struct npy *npy, FILE *out, struct objpool_reader reader)
{
	struct ndarray array;
	bool flag = false;

	if (npy->kind == NPY_NUMBERS) {
		write_number(npy, out, reader);
	} else if (npy->kind == NPY_BOOLEANS) {
		(void)objpool_read_bool(&reader, &flag);
		(void)fputc(flag, out);
	} else if (read_ndarray(reader, &array) && !ndarray_is_empty(&array) && array.item > 0) { /* else: nothing, however large */
		write_elements(out, &array, 0, array.elements);
	}
}

void npy_write(const struct npy *npy, FILE *out, struct objpool_bytes value)
{
	struct objpool_reader reader = objpool_reader(value);
	struct objpool_bytes item = {NULL, 0};
	uint32_t count = 0;

	if (objpool_read_array(&reader, &count) < 0) {
		write_leaf(npy, out, reader);
		return;
	}
	while (count-- > 0) {
		(void)objpool_read_value(&reader, &item);
		npy_write(npy, out, item);
	}
}

void npy_free(struct npy *npy)
{
	free((void *)(uintptr_t)npy->dtype.data);
	free((void *)(uintptr_t)npy->dims.data);
}
